package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// point is a value at a time; line is what a panel draws, joined or as dots.
type point struct {
	at    time.Duration
	value float64
}

type line struct {
	name, colour string
	dots         bool
	points       []point
}

type panel struct {
	title string
	lines []line
	// limit is drawn as a dashed line; 0 is none.
	limit float64
	// decades has a logarithmic axis, from 1 on.
	decades bool
}

// The picture's measures, in pixels.
const (
	width, height    = 900, 210 // of a panel
	left, right      = 64, 20
	top, bottom      = 46, 30
	plotted, plotTop = width - left - right, height - top - bottom
)

var colours = map[string]string{"daemon": "#1f77b4", "monitor": "#2ca02c", "keeper": "#d62728", "proxy": "#9467bd", "builder": "#8c564b"}

// draw shows a run as an SVG picture: memory, descriptors and goroutines, and
// what ps took.
func draw(s *soak) string {
	memory, files, answers := panel{title: "private memory, MB"}, panel{title: "descriptors, goroutines"}, panel{title: "ps, ms", limit: 50, decades: true}
	for _, role := range []string{"daemon", "monitor", "keeper", "proxy"} {
		m := line{name: role, colour: colours[role]}
		d := line{name: role + " descriptors", colour: colours[role]}
		g := line{name: role + " goroutines", colour: "#ff7f0e"}
		count := 0
		for _, sample := range s.samples {
			var sum reading
			n := 0
			for _, r := range sample.processes {
				if r.role == "mycompose-"+role {
					sum.memory, sum.descriptors, sum.goroutines = sum.memory+r.memory, sum.descriptors+r.descriptors, sum.goroutines+r.goroutines
					n++
				}
			}
			if n == 0 {
				continue
			}
			count = max(count, n)
			m.points = append(m.points, point{sample.at, float64(sum.memory) / 1024})
			d.points = append(d.points, point{sample.at, float64(sum.descriptors) / float64(n)})
			if sum.goroutines > 0 {
				g.points = append(g.points, point{sample.at, float64(sum.goroutines)})
			}
		}
		if count == 0 {
			continue
		}
		if count > 1 {
			m.name = fmt.Sprintf("all %d %ss", count, role)
			d.name = "descriptors of a " + role
		}
		memory.lines, files.lines = append(memory.lines, m), append(files.lines, d)
		if len(g.points) > 0 {
			files.lines = append(files.lines, g)
		}
	}
	times := line{name: fmt.Sprintf("each of %d, p50 %s, p99 %s", len(s.asked), percentile(s.asked, 50).Round(100*time.Microsecond),
		percentile(s.asked, 99).Round(100*time.Microsecond)), colour: "#555555", dots: true}
	for _, a := range s.asked {
		times.points = append(times.points, point{a.at, float64(a.took.Microseconds()) / 1000})
	}
	answers.lines = []line{times}
	panels := []panel{memory, files, answers}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height*len(panels)+24)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	for i, p := range panels {
		fmt.Fprintf(&out, `<g transform="translate(0,%d)">`+"\n", i*height)
		p.draw(&out, s.duration)
		out.WriteString("</g>\n")
	}
	fmt.Fprintf(&out, `<text x="%d" y="%d" fill="#333">%s of 100 containers: %d up and down of a neighbour, %d exec, %d ps. Grey: the quarters that are compared.</text>`+"\n",
		left, height*len(panels)+14, s.duration, s.counts.ups, s.counts.execs, s.counts.lists)
	out.WriteString("</svg>\n")
	return out.String()
}

func (p panel) draw(out *strings.Builder, duration time.Duration) {
	highest := p.limit
	for _, l := range p.lines {
		for _, at := range l.points {
			highest = max(highest, at.value)
		}
	}
	marks := p.marks(highest)
	highest = marks[len(marks)-1]
	x := func(at time.Duration) float64 { return left + plotted*math.Min(1, at.Seconds()/duration.Seconds()) }
	y := func(value float64) float64 {
		if p.decades {
			return top + plotTop*(1-math.Log10(max(1, value))/math.Log10(highest))
		}
		return top + plotTop*(1-value/highest)
	}
	for _, quarter := range []float64{0.25, 0.75} {
		fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#f1f1f1"/>`+"\n", left+plotted*quarter, top, plotted/4.0, plotTop)
	}
	fmt.Fprintf(out, `<text x="%d" y="16" font-size="13" font-weight="bold">%s</text>`+"\n", left, html.EscapeString(p.title))
	for _, v := range marks {
		fmt.Fprintf(out, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			left, y(v), width-right, y(v), left-6, y(v)+4, v)
	}
	for i := 0; i <= 8; i++ {
		at := duration * time.Duration(i) / 8
		fmt.Fprintf(out, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#333"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x(at), top+plotTop, x(at), top+plotTop+4, x(at), top+plotTop+18, clock(at))
	}
	fmt.Fprintf(out, `<path d="M%d %d V%d H%d" fill="none" stroke="#333"/>`+"\n", left, top, top+plotTop, width-right)
	if p.limit > 0 {
		fmt.Fprintf(out, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#d62728" stroke-dasharray="5 4"/>`+"\n", left, y(p.limit), width-right, y(p.limit))
	}
	at := left
	for _, l := range p.lines {
		fmt.Fprintf(out, `<rect x="%d" y="26" width="14" height="8" fill="%s"/><text x="%d" y="34">%s</text>`+"\n", at, l.colour, at+19, html.EscapeString(l.name))
		at += 44 + 7*len(l.name)
		l.draw(out, x, y)
	}
}

func (l line) draw(out *strings.Builder, x func(time.Duration) float64, y func(float64) float64) {
	if l.dots {
		for _, p := range l.points {
			fmt.Fprintf(out, `<circle cx="%.1f" cy="%.1f" r="1.2" fill="%s"/>`, x(p.at), y(p.value), l.colour)
		}
		out.WriteString("\n")
		return
	}
	fmt.Fprintf(out, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, l.colour)
	for _, p := range l.points {
		fmt.Fprintf(out, "%.1f,%.1f ", x(p.at), y(p.value))
	}
	out.WriteString(`"/>` + "\n")
}

// marks are the values at the axis; the last is its end.
func (p panel) marks(highest float64) (marks []float64) {
	if p.decades {
		marks = []float64{1}
		for v := 10.0; marks[len(marks)-1] < highest || len(marks) < 3; v *= 10 {
			marks = append(marks, v)
		}
		return marks
	}
	step := niceStep(highest)
	for v := 0.0; ; v += step {
		marks = append(marks, v)
		if v >= highest && v > 0 {
			return marks
		}
	}
}

// niceStep makes about four marks up to the highest value: 1, 2 or 5 times a
// power of ten.
func niceStep(highest float64) float64 {
	if highest <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(highest/4)))
	for _, times := range []float64{1, 2, 5} {
		if power*times*5 >= highest {
			return power * times
		}
	}
	return power * 10
}

// clock is a time on the axis.
func clock(at time.Duration) string {
	if at >= time.Hour {
		return fmt.Sprintf("%d:%02d:%02d", int(at.Hours()), int(at.Minutes())%60, int(at.Seconds())%60)
	}
	return fmt.Sprintf("%d:%02d", int(at.Minutes()), int(at.Seconds())%60)
}
