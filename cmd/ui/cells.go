package ui

import (
	"strings"
	"unicode"
)

// cells is how many columns a text takes on a terminal: none for a combining
// mark, two for a wide East Asian character or an emoji (UAX #11, wcwidth).
func cells(text string) int {
	n := 0
	for _, r := range text {
		n += cellsOf(r)
	}
	return n
}

// wide are the ranges that take two columns: Hangul, CJK, full-width forms,
// emoji. Ambiguous ones take one, as terminals outside East Asia do.
var wide = [...][2]rune{
	{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xa000, 0xa4cf},
	{0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe4f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f},
	{0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
}

func cellsOf(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case r == 0x200b, r == 0x200d, r == 0xfe0f, unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r):
		return 0
	}
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	return 1
}

// cut shortens text to n columns with an ellipsis.
func cut(text string, n int) string {
	if cells(text) <= n {
		return text
	}
	if n <= 0 {
		return ""
	}
	var out strings.Builder
	for _, r := range text {
		w := cellsOf(r)
		if n-w < 1 {
			break
		}
		n -= w
		out.WriteRune(r)
	}
	return out.String() + "…"
}

// pad fills text up to n columns.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(0, n-cells(text)))
}

// clean takes out what would move the cursor or change colours: text of images
// and containers is not ours. Only the first line is kept.
func clean(text string) string {
	text, _, _ = strings.Cut(strings.TrimLeft(text, "\r\n"), "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
}
