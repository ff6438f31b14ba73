package ui

import (
	"fmt"
	"strings"
	"unicode"
)

// Problem is one mistake in a file.
type Problem struct {
	// File is as the user knows it; Line and Column count from 1, Column in
	// characters. Line 0 is the whole file.
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Source  string `json:"-"` // the text of the line; "" shows no excerpt
}

// Problems writes mistakes to standard error, each as a line that editors and
// compilers' readers know, file:line:column: message; hint, and below it the
// line with a caret. whole is the same without excerpts, for json mode.
func (s *Screen) Problems(list []Problem, whole string) {
	if s.o.Mode == ModeJSON {
		s.printJSON(struct {
			Error    bool      `json:"error"`
			Message  string    `json:"message"`
			Problems []Problem `json:"problems"`
		}{true, strings.TrimRight(whole, "\n"), list})
		return
	}
	columns, _ := s.o.Size()
	var out strings.Builder
	for _, p := range list {
		out.WriteString(s.headline(p))
		if p.Source != "" && p.Column > 0 && s.o.Mode != ModeQuiet {
			out.WriteString(s.excerpt(p, columns))
		}
	}
	s.Notice(strings.TrimSuffix(out.String(), "\n"))
}

func (s *Screen) headline(p Problem) string {
	where := ""
	switch {
	case p.Line > 0:
		where = fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.File != "":
		where = p.File + ": "
	}
	text := s.paint("1", where) + p.Message
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text + "\n"
}

// excerpt is the line of a mistake and a caret below what is wrong:
//
//	3 |     imagee: busybox
//	  |     ^^^^^^
func (s *Screen) excerpt(p Problem, columns int) string {
	text := []rune(strings.TrimRight(p.Source, " \t\r\n"))
	at := min(p.Column-1, len(text))
	width := token(text, at)
	number := fmt.Sprintf("%5d | ", p.Line)
	room := max(20, columns-1-len(number))
	from := 0
	if len(text) > room { // the part around the mistake
		from = max(0, min(at-room/3, len(text)-room))
		text = text[from:min(len(text), from+room)]
	}
	var line, under strings.Builder
	for i, r := range text {
		if unicode.IsControl(r) {
			r = ' '
		}
		line.WriteRune(r)
		if from+i < at {
			under.WriteString(strings.Repeat(" ", cellsOf(r)))
		}
	}
	caret := strings.Repeat("^", max(1, min(width, room-(at-from))))
	return number + line.String() + "\n" + strings.Repeat(" ", len(number)-2) + "| " + under.String() + s.paint("31", caret) + "\n"
}

// token is how many characters the word or quoted text at a place has.
func token(text []rune, at int) int {
	if at >= len(text) {
		return 1
	}
	if quote := text[at]; quote == '"' || quote == '\'' {
		for i := at + 1; i < len(text); i++ {
			if text[i] == quote {
				return i - at + 1
			}
		}
		return 1
	}
	n := 0
	for _, r := range text[at:] {
		if r == ' ' || r == '\t' || strings.ContainsRune(",]}[{", r) {
			break
		}
		n++
	}
	word := string(text[at : at+n])
	return max(1, len([]rune(strings.TrimSuffix(word, ":"))))
}
