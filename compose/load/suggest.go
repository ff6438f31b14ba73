package load

import (
	"iter"
	"slices"
	"strings"
)

// Nearest returns the candidate that a typing error most likely meant, or "": for
// names outside of files, too.
func Nearest(word string, candidates iter.Seq[string]) string { return nearest(word, candidates) }

// nearest returns the candidate that a typing error most likely meant, or "".
func nearest(word string, candidates iter.Seq[string]) string {
	best, bestDistance := "", len(word)/3+2
	sorted := slices.Sorted(candidates)
	if whole := completed(word, sorted); whole != "" {
		return whole
	}
	for _, c := range sorted {
		if strings.EqualFold(plainWord(c), plainWord(word)) {
			return c
		}
		if d := distance(word, c); d < bestDistance && d < max(len(c), len(word)) {
			best, bestDistance = c, d
		}
	}
	return best
}

// completed is the only candidate that begins with the word and goes on,
// "" if there is none or a choice.
func completed(word string, candidates []string) string {
	found := ""
	for _, c := range candidates {
		if len(word) >= 8 && strings.HasPrefix(plainWord(c), plainWord(word)) {
			if found != "" {
				return ""
			}
			found = c
		}
	}
	return found
}

// plainWord takes away what people mix up in keys: mem-limit, memLimit.
func plainWord(s string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "").Replace(s)
}

// distance counts the letters to insert, delete, change or swap with their
// neighbour to make b out of a.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, last, now := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
