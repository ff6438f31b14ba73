package ui

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// UsedImage is one row of images; the JSON form is docker compose's.
type UsedImage struct {
	ID            string
	ContainerName string
	Repository    string
	Tag           string
	Platform      string
	Size          int64
	Created       time.Time
	LastTagTime   time.Time
}

// UsedImages is images: one row per container, by its name.
func (s *Screen) UsedImages(containers []spec.Container, images map[string]spec.Image, format string) error {
	var rows []UsedImage
	for _, c := range containers {
		image := images[c.Blueprint.ImageDigest]
		repository, tag := splitReference(c.Blueprint.Image)
		rows = append(rows, UsedImage{
			ID: c.Blueprint.ImageDigest, ContainerName: c.Blueprint.Name, Repository: repository, Tag: tag,
			Platform: image.OS + "/" + image.Architecture, Size: image.Size, Created: image.CreatedAt, LastTagTime: image.CreatedAt,
		})
	}
	now := s.o.Now()
	return s.List(Listing{
		Columns:  []string{"CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"},
		MinWidth: 20, Array: true, Rows: boxed(rows),
		Cells: func(i int) []string {
			r := rows[i]
			id, created := strings.TrimPrefix(r.ID, "sha256:"), "N/A"
			if !r.Created.IsZero() {
				created = ago(now.Sub(r.Created)) + " ago"
			}
			return []string{r.ContainerName, r.Repository, r.Tag, r.Platform, id[:min(12, len(id))], size(r.Size), created}
		},
	}, format)
}

// TopContainer is a container with its processes, for top.
type TopContainer struct {
	Service   string
	Number    int
	Processes []spec.Process
}

// Top is top: one table for all. users names user ids.
func (s *Screen) Top(containers []TopContainer, users func(uid int) string) error {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 4, 1, 2, ' ', 0)
	lines := 0
	for _, c := range containers {
		for _, p := range c.Processes {
			if lines++; lines == 1 {
				fmt.Fprintln(w, "SERVICE\t#\tUID\tPID\tPPID\tC\tSTIME\tTTY\tTIME\tCMD")
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", c.Service, c.Number, users(p.UID), p.PID, p.Parent,
				busy(p, s.o.Now()), startedAt(p.StartedAt, s.o.Now()), orQuestion(p.Terminal), clock(p.CPU), strings.Join(p.Command, " "))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := s.Write(out.Bytes())
	return err
}

// busy is ps's C: processor time over life time, percent, at most 99.
func busy(p spec.Process, now time.Time) int {
	life := now.Sub(p.StartedAt)
	if life <= 0 {
		return 0
	}
	return int(min(99, 100*p.CPU/life))
}

// startedAt is ps's STIME: the time of today, the day of this year, or the year.
func startedAt(at, now time.Time) string {
	at = at.In(now.Location())
	switch {
	case now.Sub(at) < 24*time.Hour:
		return at.Format("15:04")
	case at.Year() == now.Year():
		return at.Format("Jan02")
	}
	return at.Format("2006")
}

// clock is hours, minutes, seconds.
func clock(d time.Duration) string {
	seconds := int64(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

func orQuestion(text string) string {
	if text == "" {
		return "?"
	}
	return text
}

// Usage is one row of stats; the JSON form is docker compose's.
type Usage struct {
	BlockIO   string
	CPUPerc   string
	Container string
	ID        string
	MemPerc   string
	MemUsage  string
	Name      string
	NetIO     string
	PIDs      string
}

// UsageOf compares two readings of a container.
func UsageOf(c spec.Container, before, now spec.Stats, full bool) Usage {
	id := c.Blueprint.ID
	short := id[:min(12, len(id))]
	if full {
		short = id
	}
	out := Usage{
		Container: id, ID: short, Name: c.Blueprint.Name, CPUPerc: "0.00%", MemPerc: "0.00%",
		MemUsage: binarySize(now.Memory) + " / " + binarySize(now.MemoryLimit),
		NetIO:    size(now.Received) + " / " + size(now.Sent), BlockIO: size(now.Read) + " / " + size(now.Written),
		PIDs: fmt.Sprint(now.Processes),
	}
	if passed := now.Time.Sub(before.Time); passed > 0 && now.CPU > before.CPU {
		out.CPUPerc = fmt.Sprintf("%.2f%%", 100*float64(now.CPU-before.CPU)/float64(passed))
	}
	if now.MemoryLimit > 0 {
		out.MemPerc = fmt.Sprintf("%.2f%%", 100*float64(now.Memory)/float64(now.MemoryLimit))
	}
	return out
}

// Stats is one picture of stats; again draws over the one before.
func (s *Screen) Stats(rows []Usage, format string, again bool) error {
	if s.o.OutTerminal && again && s.colour(true) {
		// Home, and clear from there on, ECMA-48.
		if _, err := s.Write([]byte("\x1b[H\x1b[J")); err != nil {
			return err
		}
	}
	slices.SortFunc(rows, func(a, b Usage) int { return strings.Compare(a.Name, b.Name) })
	return s.List(Listing{
		Columns: []string{"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"},
		Rows:    boxed(rows),
		Cells: func(i int) []string {
			r := rows[i]
			return []string{r.ID, r.Name, r.CPUPerc, r.MemUsage, r.MemPerc, r.NetIO, r.BlockIO, r.PIDs}
		},
	}, format)
}

// binarySize says bytes in binary units with four digits: "1.5MiB".
func binarySize(bytes int64) string {
	value, unit := float64(bytes), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.4g%s", value, units[unit])
}

// HappenedJSON is one line of events --json; the form is docker compose's.
type HappenedJSON struct {
	Action     string            `json:"action"`
	Attributes map[string]string `json:"attributes"`
	ID         string            `json:"id"`
	Service    string            `json:"service"`
	Time       string            `json:"time"`
	Type       string            `json:"type"`
}

// Happened shows one event.
func (s *Screen) Happened(e spec.Event, asJSON bool) error {
	attributes := map[string]string{"image": e.Image, "name": e.Name}
	for name, value := range e.Labels {
		if !strings.HasPrefix(name, "com.docker.compose.") && !strings.HasPrefix(name, "mycompose.") {
			attributes[name] = value
		}
	}
	for name, value := range e.Details {
		attributes[name] = value
	}
	if !asJSON {
		_, err := fmt.Fprintf(s, "%s container %s %s (%s)\n\n", e.Time.Local().Format("2006-01-02 15:04:05.000000"), e.Action, e.Container,
			strings.ReplaceAll(labels(attributes), ",", ", "))
		return err
	}
	data, err := marshal(HappenedJSON{
		Action: e.Action, Attributes: attributes, ID: e.Container, Service: e.Labels[labelService],
		Time: e.Time.UTC().Format(time.RFC3339Nano), Type: "container",
	})
	if err != nil {
		return err
	}
	_, err = s.Write(append(data, '\n'))
	return err
}
