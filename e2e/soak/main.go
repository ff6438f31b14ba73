package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	duration := flag.Duration("duration", time.Hour, "how long")
	picture := flag.String("svg", "e2e/soak/soak.svg", "where the picture goes")
	flag.Parse()
	if err := run(*duration, *picture); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(duration time.Duration, picture string) error {
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	binary, err := filepath.Abs("bin/mycompose")
	if err != nil {
		return err
	}
	s, err := newSoak(binary, duration)
	if err != nil {
		return err
	}
	fmt.Printf("soak: 100 containers stand, %s begin\n", duration)
	err = errors.Join(s.run(context.Background()), s.end())
	if err != nil {
		return err
	}
	all := grown(s.samples, duration)
	fmt.Print(table(all, s.asked, s.counts, duration))
	if err := os.WriteFile(picture, []byte(draw(s)), 0o644); err != nil {
		return err
	}
	if over := ofAnHour.exceeded(all, s.asked); len(over) > 0 {
		return fmt.Errorf("above the limits:\n  %s", strings.Join(over, "\n  "))
	}
	fmt.Println("nothing grew above the limits")
	return nil
}
