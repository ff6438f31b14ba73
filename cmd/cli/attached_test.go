package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestAnUpWhoseDaemonDiesEndsAsItWouldHave(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	died := make(chan struct{})
	h.must("ls")
	armed := true
	h.fake.Fail = func(c backend.Call) error {
		if armed && strings.Contains(strings.ToLower(fmt.Sprint(c)), "start") {
			armed = false
			go func() { h.kill(); close(died) }()
			<-time.After(20 * time.Millisecond) // let the end begin
		}
		return nil
	}
	o := h.run("up", "-d")
	<-died
	if o.code != 0 || strings.Count(o.err, " Container shop-web-1 Started ") != 1 {
		t.Errorf("got %d:\n%s", o.code, o.err)
	}
	if got := h.must("ps", "-q").out; strings.Count(got, "\n") != 2 {
		t.Errorf("ps: %q", got)
	}
}

func TestLogsAreLedByTheirReplica(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	h.must("up", "-d")
	if got := h.must("logs").out; got != "db-1   | hello from shop-db-1\nweb-1  | hello from shop-web-1\n" {
		t.Errorf("got %q", got)
	}
	if got := h.must("logs", "--no-log-prefix", "web").out; got != "hello from shop-web-1\n" {
		t.Errorf("got %q", got)
	}
}

func TestExecReturnsTheCommandsCodeAndKeepsStreamsApart(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	h.must("up", "-d")
	if o := h.run("exec", "web", "true"); o.code != 7 || o.out != "to out\n" || o.err != "to err\n" {
		t.Errorf("got %+v", o)
	}
	if o := h.run("exec", "-T", "web", "nosuch"); o.code != 126 {
		t.Errorf("got %+v", o)
	}
}

func TestAttachedUpEndsWithItsContainersAndStopsThemOnCtrlC(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", "services:\n  once:\n    image: busybox\n    command: [exit, '3']\n")
	o := h.run("up")
	if o.code != 0 || !strings.Contains(o.out, "Attaching to once-1\n") || !strings.Contains(o.out, "once-1 exited with code 3\n") {
		t.Errorf("got %+v", o)
	}
	h.write("compose.yaml", "services:\n  stay:\n    image: busybox\n    command: [serve]\n")
	interrupts := make(chan os.Signal, 1)
	done := make(chan ended, 1)
	go func() { done <- h.runIn(h.dir, interrupts, "up") }() // received below
	for !running(h, "shop-stay-1") {
		time.Sleep(time.Millisecond)
	}
	interrupts <- os.Interrupt
	if o := <-done; o.code != 130 || !strings.Contains(o.err, "press Ctrl+C again to force") {
		t.Errorf("got %+v", o)
	}
	if running(h, "shop-stay-1") {
		t.Error("it runs on")
	}
}

// A container that ends while an operation of its project is at work may be
// about to start again, as the last one of a restart does.
func TestAttachedUpStaysWhileItsProjectIsWorkedOn(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", `services:
  stay: {image: busybox, command: [serve]}
  slow: {image: busybox, command: [serve], healthcheck: {test: [CMD, pending]}}
`)
	attached, waiting := make(chan ended, 1), make(chan ended, 1)
	go func() { attached <- h.runIn(h.dir, nil, "up", "stay") }() // both received below
	for !running(h, "shop-stay-1") {
		time.Sleep(time.Millisecond)
	}
	go func() { waiting <- h.run("up", "-d", "--wait", "slow") }()
	for !running(h, "shop-slow-1") {
		time.Sleep(time.Millisecond)
	}
	h.fake.Exit("shop-stay-1", 0)
	time.Sleep(300 * time.Millisecond) // long enough to give up, if it did
	containers, err := h.fake.Containers(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		if c.Blueprint.Name == "shop-stay-1" {
			if err := h.fake.StartContainer(t.Context(), c.Blueprint.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.fake.SetHealth("shop-slow-1", spec.HealthHealthy)
	if o := <-waiting; o.code != 0 {
		t.Errorf("the other up: %+v", o)
	}
	h.fake.Exit("shop-stay-1", 3)
	if o := <-attached; o.code != 0 || !strings.Contains(o.out, "stay-1 exited with code 3\n") {
		t.Errorf("got %+v", o)
	}
}

func running(h *host, name string) bool {
	containers, err := h.fake.Containers(h.t.Context(), "shop")
	return err == nil && slices.ContainsFunc(containers, func(c spec.Container) bool {
		return c.Blueprint.Name == name && c.Status.State == spec.StateRunning
	})
}
