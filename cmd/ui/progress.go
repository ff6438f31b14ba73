package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

// jsonEvent is the shape of one object in json mode: docker compose's, and what
// stands behind Percent. cmd/ui/progress-json.md tells what each field means.
type jsonEvent struct {
	DryRun   bool   `json:"dry-run,omitempty"`
	ID       string `json:"id,omitempty"`
	ParentID string `json:"parent_id,omitempty"`
	Status   string `json:"status,omitempty"`
	Text     string `json:"text,omitempty"`
	Details  string `json:"details,omitempty"`
	Current  int64  `json:"current,omitempty"`
	Total    int64  `json:"total,omitempty"`
	Percent  int    `json:"percent,omitempty"`

	Kind    string     `json:"kind"`
	Time    *time.Time `json:"time,omitempty"`
	Service string     `json:"service,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Waiters []string   `json:"waiters,omitempty"`
}

// Progress shows the events of one operation.
type Progress struct {
	screen *Screen
	dryRun bool
	quiet  bool // build output
	// pulls silences what images and layers say (--quiet-pull).
	pulls  bool
	builds *BuildLog
	steps  []event.Event // of KindStep
	plan   func(text, json string)
}

// ProgressOptions make a Progress.
type ProgressOptions struct {
	// Title is the command: "up".
	Title  string
	DryRun bool
	// QuietBuild drops the output of build steps, QuietPull all of images.
	QuietBuild, QuietPull bool
	// Timings says how the files were read, for Screen.Timings; "" shows none.
	Timings string
	// Plan takes the plan of a dry run, as text and as JSON, in place of the
	// screen.
	Plan func(text, json string)
}

// Progress begins to show an operation; Close ends it.
func (s *Screen) Progress(o ProgressOptions) *Progress {
	if s.o.Mode == ModeTTY {
		s.begin(o.Title)
	}
	return &Progress{screen: s, dryRun: o.DryRun, quiet: o.QuietBuild, pulls: o.QuietPull, builds: NewBuildLog(), plan: o.Plan}
}

// Close leaves what is shown as it is. It may be called twice.
func (p *Progress) Close() { p.screen.end() }

// Steps are the events of KindStep that were shown, for Timings. It may be
// called once the operation has ended.
func (p *Progress) Steps() []event.Event { return p.steps }

// Show shows one event. Results are shown by their caller, since what they
// mean depends on the command.
func (p *Progress) Show(e event.Event) {
	s := p.screen
	switch e.Kind {
	case event.KindResult:
	case event.KindStep:
		if e.Step != nil {
			p.steps = append(p.steps, e)
		}
	case event.KindWarning:
		p.warn(e)
	case event.KindPlan: // as text, and as JSON in the details
		if p.plan != nil {
			p.plan(e.Text, e.Details)
		} else if s.o.Mode == ModeJSON {
			s.Println(e.Details)
		} else {
			s.Println(strings.TrimRight(e.Text, "\n"))
		}
	case event.KindOutput:
		p.output(e)
	default:
		p.resource(e)
	}
}

// output shows what a build told: as lines, or on a terminal in the board; there
// a step that fails leaves the end of its output.
func (p *Progress) output(e event.Event) {
	s := p.screen
	if p.quiet || s.o.Mode == ModeQuiet {
		return
	}
	lines := p.builds.Lines(e)
	if s.o.Mode == ModeTTY && s.o.OutTerminal && e.ParentID != "" && s.updateOutput(e, p.builds.name(e)) && e.Status != event.Error {
		return
	}
	for _, line := range lines {
		s.Println(line)
	}
}

func (p *Progress) warn(e event.Event) {
	if s := p.screen; s.o.Mode == ModeJSON {
		e.Status, e.Text, e.Details = event.Warning, warningText(e), ""
		s.printJSON(toJSON(e, p.dryRun))
		return
	}
	p.screen.Warn(warningText(e))
}

func warningText(e event.Event) string {
	if e.Details != "" && e.Text == "" {
		return e.Details
	}
	if e.Details != "" {
		return e.Text + " " + e.Details
	}
	return e.Text
}

func (p *Progress) resource(e event.Event) {
	s := p.screen
	if p.pulls && e.Status != event.Error && (e.ParentID != "" || isImage(e.ID)) {
		return
	}
	switch s.o.Mode {
	case ModeQuiet:
	case ModeJSON:
		s.printJSON(toJSON(e, p.dryRun))
	case ModeTTY:
		s.update(e)
	default:
		// Bytes of single layers would flood a log file.
		if e.ParentID == "" || e.Status == event.Error {
			s.Notice(plain(e))
		}
	}
}

func isImage(id string) bool {
	return strings.HasPrefix(id, "Image ") || strings.HasPrefix(id, "Archive ")
}

// plain is one event as docker compose's plain line: words parted by one
// space, one in front, and one at the end also without details.
func plain(e event.Event) string {
	return fmt.Sprintf(" %s %s %s", e.ID, e.Text, e.Details)
}

func toJSON(e event.Event, dryRun bool) jsonEvent {
	out := jsonEvent{
		DryRun: dryRun, ID: e.ID, ParentID: e.ParentID, Status: string(e.Status),
		Text: e.Text, Details: e.Details, Current: e.Current, Total: e.Total,
		Kind: string(e.Kind), Service: e.Service, Reason: e.Reason, Waiters: e.Waiters,
	}
	if !e.Time.IsZero() {
		out.Time = &e.Time
	}
	if e.Total > 0 {
		out.Percent = int(min(100, e.Current*100/e.Total))
	}
	return out
}
