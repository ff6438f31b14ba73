package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestCompletionKnowsServicesProjectsProfilesAndVolumes(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", strings.Replace(shop, "image: busybox", "image: busybox${TAG:-}", 1))
	offered := func(args ...string) []string {
		t.Helper()
		var out []string
		for line := range strings.Lines(h.must(append([]string{"__completeNoDesc"}, args...)...).out) {
			if !strings.HasPrefix(line, ":") {
				out = append(out, strings.TrimSuffix(line, "\n"))
			}
		}
		return out
	}
	check := func(want string, args ...string) {
		t.Helper()
		if got := strings.Join(offered(args...), " "); got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
	check("", "-p", "") // no daemon runs, and none is started
	check("db web", "up", "")
	check("web", "up", "db", "")
	check("db web", "exec", "")
	check("db= web=", "scale", "")
	check("tools", "--profile", "")
	check("tools", "up", "--profile", "")
	check("auto tty plain json quiet", "--progress", "")
	check("local all", "down", "--rmi", "")
	check("db web", "up", "--exit-code-from", "")
	if got := offered("config", "--explain", "T"); !slices.Contains(got, "TAG") {
		t.Errorf("variables: %v", got)
	}
	h.must("up", "-d")
	check("shop", "-p", "")
	check("shop_data", "volume", "rm", "")
	check("shop_default", "network", "rm", "")
	check("db tool web", "-p", "shop", "logs", "")
	h.write("compose.yaml", "services: [")
	check("", "up", "")
	check("db tool web", "-p", "shop", "up", "")
	if got := offered("ex"); !slices.Contains(got, "exec") || !slices.Contains(got, "explain") {
		t.Errorf("commands: %v", got)
	}
}

func TestTheScriptsOfThreeShellsAreWritten(t *testing.T) {
	h := newHost(t)
	for shell, has := range map[string]string{"bash": "__start_mycompose", "zsh": "#compdef mycompose", "fish": "complete -c mycompose"} {
		script := h.must("completion", shell).out
		if !strings.Contains(script, has) {
			t.Errorf("%s: %.200s", shell, script)
		}
		if shell, err := exec.LookPath(shell); err == nil { // on this machine at least bash is
			cmd := exec.Command(shell, "-n")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", shell, err, out)
			}
		}
	}
}

func eachCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	f(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, f)
	}
}

func TestEveryCommandHasAnExampleThatNamesIt(t *testing.T) {
	eachCommand(newRoot(&session{globals: &globals{}}, nil), func(cmd *cobra.Command) {
		if len(cmd.Commands()) == 0 && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: give it an Example, or a line in examples.go; it has %q", cmd.CommandPath(), cmd.Example)
		}
		if cmd.Short == "" {
			t.Errorf("%s has no Short", cmd.CommandPath())
		}
	})
}

func TestThereIsAManualPageForEveryCommand(t *testing.T) {
	h := newHost(t)
	dir := filepath.Join(t.TempDir(), "man")
	h.must("man", dir)
	eachCommand(newRoot(&session{globals: &globals{}}, nil), func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		text, err := os.ReadFile(filepath.Join(dir, name+".1"))
		if err != nil {
			t.Error(err)
			return
		}
		page := string(text)
		for _, want := range []string{".TH " + strings.ReplaceAll(strings.ToUpper(name), "-", `\-`) + " 1", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH EXIT STATUS", ".SH SEE ALSO"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
		for line := range strings.Lines(page) { // what a formatter would take for a request must be one
			word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(line, ".") && !slices.Contains([]string{".TH", ".SH", ".B", ".TP", ".PP", ".nf", ".fi"}, word) || strings.HasPrefix(line, "'") {
				t.Errorf("%s: request %q", name, line)
			}
		}
	})
	if up, err := os.ReadFile(filepath.Join(dir, "mycompose-up.1")); err != nil || !strings.Contains(string(up), ".B \\-d, \\-\\-detach\nRun in the background\n") || !strings.Contains(string(up), ".SH GLOBAL OPTIONS\n") {
		t.Errorf("up: %v\n%s", err, up)
	}
}
