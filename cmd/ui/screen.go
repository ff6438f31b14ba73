// Package ui is the only writer to the terminal: progress, logs, lists,
// warnings and errors, in docker compose's words and columns, since scripts
// look for them.
//
// Results go to standard output, everything about the way there to standard
// error. Colours and cursor movement need a terminal (or --ansi always) and
// give way to NO_COLOR. Nothing here asks the daemon anything or decides what
// to do.
package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Mode is the value of --progress.
type Mode string

// The modes; ModeAuto is tty on a terminal and plain elsewhere.
const (
	ModeAuto  Mode = "auto"
	ModeTTY   Mode = "tty"
	ModePlain Mode = "plain"
	ModeJSON  Mode = "json"
	ModeQuiet Mode = "quiet"
)

// ParseMode reads the value of --progress; "" is auto.
func ParseMode(text string) (Mode, error) {
	switch m := Mode(text); m {
	case "":
		return ModeAuto, nil
	case ModeAuto, ModeTTY, ModePlain, ModeJSON, ModeQuiet:
		return m, nil
	}
	return "", fmt.Errorf("unsupported --progress value %q", text)
}

// Options make a Screen.
type Options struct {
	Out, Err io.Writer
	// OutTerminal and ErrTerminal say what Out and Err are.
	OutTerminal, ErrTerminal bool
	Mode                     Mode
	// ANSI is never, always or auto ("" too).
	ANSI string
	// NoColor: the variable NO_COLOR is set to something. ForceColor: so is
	// CLICOLOR_FORCE or FORCE_COLOR; NO_COLOR wins. Both change colours only.
	NoColor, ForceColor bool
	// Calm: auto shall not redraw, though there is a terminal: CI is set, or
	// TERM is dumb.
	Calm bool
	// Continued carries SIGCONT: others have written to the terminal.
	Continued <-chan os.Signal
	// Size returns columns and rows of the terminal; nil is 80 x 24.
	Size func() (columns, rows int)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Screen is where a command writes. Its methods may be called by many
// goroutines; each call's text stays together.
type Screen struct {
	o       Options
	mu      sync.Mutex // guards writing to Out and Err, and painter
	painter *painter   // the moving part on Err, nil if there is none
}

// New returns a screen.
func New(o Options) *Screen {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Size == nil {
		o.Size = func() (int, int) { return 80, 24 }
	}
	if o.Mode == "" {
		o.Mode = ModeAuto
	}
	if o.Mode == ModeAuto {
		o.Mode = ModePlain
		if o.ErrTerminal && o.ANSI != "never" && !o.Calm {
			o.Mode = ModeTTY
		}
	}
	return &Screen{o: o}
}

// Mode returns the mode in force, never auto.
func (s *Screen) Mode() Mode { return s.o.Mode }

// OutIsTerminal reports whether results go to a terminal.
func (s *Screen) OutIsTerminal() bool { return s.o.OutTerminal }

// colour reports whether escapes may go to a stream.
func (s *Screen) colour(terminal bool) bool {
	switch s.o.ANSI {
	case "never":
		return false
	case "always":
		return true
	}
	return (terminal || s.o.ForceColor) && !s.o.NoColor
}

// Write writes result bytes to standard output as they are.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeLocked(true, p)
}

func (s *Screen) stream(out bool) io.Writer {
	if out {
		return s.o.Out
	}
	return s.o.Err
}

// Println writes one line of results to standard output.
func (s *Screen) Println(line string) {
	fmt.Fprintln(s, line)
}

// Stderr returns a writer for bytes of a command's standard error.
func (s *Screen) Stderr() io.Writer { return stderr{s} }

type stderr struct{ s *Screen }

func (w stderr) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.writeLocked(false, p)
}

// Notice writes one line to standard error.
func (s *Screen) Notice(line string) {
	fmt.Fprintln(s.Stderr(), line)
}

// Warn writes a warning to standard error in the form of docker compose.
func (s *Screen) Warn(message string) {
	if s.o.Mode == ModeQuiet {
		return
	}
	if s.o.Mode == ModeJSON {
		s.printJSON(jsonEvent{Status: "Warning", Text: message, Kind: "warning"})
		return
	}
	if s.o.Mode == ModeTTY { // for people, not for a log
		s.Notice(s.paint("33", "warning:") + " " + message)
		return
	}
	s.Notice(warning(s.o.Now(), message))
}

// paint puts text for standard error into a colour, if there are colours.
func (s *Screen) paint(code, text string) string {
	if !s.colour(s.o.ErrTerminal) {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func warning(now time.Time, message string) string {
	return fmt.Sprintf("time=%q level=warning msg=%s", now.UTC().Format(time.RFC3339), quote(message))
}

// quote is Go's quoting, with non-ASCII letters left readable.
func quote(text string) string {
	var b bytes.Buffer
	b.WriteByte('"')
	for _, r := range text {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\n':
			b.WriteString(`\n`)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Error writes an error to standard error: as it is, or as one JSON object in
// json mode.
func (s *Screen) Error(err error) { s.ErrorWithHint(err, "") }

// ErrorWithHint adds what could be done about an error; "" is nothing.
func (s *Screen) ErrorWithHint(err error, hint string) {
	text := strings.TrimRight(err.Error(), "\n")
	if s.o.Mode != ModeJSON {
		s.Notice(text)
		if hint != "" {
			s.Notice(s.paint("2", "hint: "+hint))
		}
		return
	}
	s.printJSON(struct {
		Error   bool   `json:"error"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	}{true, text, hint})
}

func (s *Screen) printJSON(v any) {
	data, err := marshal(v)
	if err != nil {
		s.Notice(err.Error())
		return
	}
	s.Notice(string(data))
}

// marshal is json.Marshal; lists escape > as docker compose does.
func marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("cannot write JSON: %w", err)
	}
	return data, nil
}

// Quiet is a screen for the same streams that shows errors only; the one it
// comes from must show nothing any more.
func (s *Screen) Quiet() *Screen {
	o := s.o
	o.Mode = ModeQuiet
	return New(o)
}
