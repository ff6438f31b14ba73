package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

// Listing is a list that can be shown as a table, as JSON or by a template.
type Listing struct {
	// Columns are the headers; Cells gives the cells of row i.
	Columns []string
	Cells   func(i int) []string
	// Rows are structs whose JSON form and fields are shown.
	Rows []any
	// MinWidth of a column: 10, or 20 where docker compose has that.
	MinWidth int
	// Array: json is one array; else one object per line.
	Array bool
}

// List shows a listing: format is "" or table, json, jsonl, or a Go template,
// with "table " in front for one with headers.
func (s *Screen) List(l Listing, format string) error {
	var out bytes.Buffer
	switch {
	case format == "" || format == "table":
		l.table(&out)
	case format == "json" && l.Array:
		rows := l.Rows
		if rows == nil {
			rows = []any{}
		}
		data, err := marshal(rows)
		if err != nil {
			return err
		}
		out.Write(append(data, '\n'))
	case format == "json" || format == "jsonl":
		for _, row := range l.Rows {
			data, err := marshal(row)
			if err != nil {
				return err
			}
			out.Write(append(data, '\n'))
		}
	case strings.Contains(format, "{{"):
		if err := l.template(&out, format); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unsupported format %q: table, json or a Go template such as '{{.Name}}'", format)
	}
	_, err := s.Write(out.Bytes())
	return err
}

func (l Listing) table(out io.Writer) {
	w := tabwriter.NewWriter(out, max(l.MinWidth, 10), 1, 3, ' ', 0)
	fmt.Fprintln(w, strings.Join(l.Columns, "\t"))
	for i := range l.Rows {
		fmt.Fprintln(w, strings.Join(l.Cells(i), "\t"))
	}
	w.Flush() // into memory: cannot fail
}

// template runs a Go template over each row, a line for each.
func (l Listing) template(out io.Writer, format string) error {
	text, headed := strings.CutPrefix(format, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("format").Funcs(template.FuncMap{
		"json":  func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		"join":  strings.Join,
		"lower": strings.ToLower,
		"split": strings.Split,
		"title": func(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] },
		"upper": strings.ToUpper,
		"println": func(a ...any) string {
			return fmt.Sprintln(a...)
		},
	}).Parse(text)
	if err != nil {
		return fmt.Errorf("cannot read format %q: %w", format, err)
	}
	var body bytes.Buffer
	for _, row := range l.Rows {
		if err := t.Execute(&body, row); err != nil {
			return fmt.Errorf("cannot apply format %q: %w", format, err)
		}
		body.WriteByte('\n')
	}
	if !headed {
		_, err := out.Write(body.Bytes())
		return err
	}
	w := tabwriter.NewWriter(out, 10, 1, 3, ' ', 0)
	fmt.Fprintln(w, headers(text))
	w.Write(body.Bytes())
	return w.Flush()
}

// headers turns "{{.Name}}\t{{.Status}}" into "NAME\tSTATUS".
func headers(text string) string {
	columns := strings.Split(text, "\t")
	for i, c := range columns {
		if at := strings.LastIndex(c, "."); at >= 0 {
			c = c[at+1:]
		}
		columns[i] = strings.ToUpper(strings.Trim(c, "{} "))
	}
	return strings.Join(columns, "\t")
}
