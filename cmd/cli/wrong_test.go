package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateWrong = flag.Bool("update", false, "record testdata/wrong")

// wrong are command lines that cannot be done as written, by what is wrong. The
// last words of a case may set variables ("K=V" before the command).
var wrong = []struct{ name, line string }{
	{"flag unknown", "up --nope"},
	{"flag mistyped", "up --detatch"},
	{"flag that is no switch", "up --wait=perhaps"},
	{"flag of two values that exclude each other", "up --build --no-build"},
	{"recreate and keep", "up --force-recreate --no-recreate"},
	{"scale that is no number", "up --scale web=many"},
	{"scale without a number", "up --scale web"},
	{"scale below zero", "up --scale web=-1"},
	{"scale of no service", "up --scale wbe=2"},
	{"scale command without a number", "scale web"},
	{"timeout below zero", "up -t -1"},
	{"timeout that is no number", "stop -t soon"},
	{"wait timeout below zero", "up --wait-timeout -5"},
	{"pull policy unknown", "up --pull sometimes"},
	{"detached and aborting", "up -d --abort-on-container-exit"},
	{"timings of a dry run", "up --timings --dry-run"},
	{"progress unknown", "--progress fancy up"},
	{"progress unknown in the environment", "COMPOSE_PROGRESS=fancy up"},
	{"ansi unknown", "--ansi perhaps ps"},
	{"project name", "-p Bad! ps"},
	{"project name in the environment", "COMPOSE_PROJECT_NAME=Bad! up"},
	{"file missing", "-f nope.yaml up"},
	{"env file missing", "--env-file nope.env up"},
	{"env file wrong", "--env-file wrong.env up"},
	{"service mistyped", "up -d wbe"},
	{"service of no likeness", "logs zzzzzz"},
	{"service of exec", "exec nosuch true"},
	{"exec without a command", "exec web"},
	{"run without a service", "run"},
	{"run of a port that is none", "run -p 99999 web"},
	{"run of a volume that is none", "run -v a:b:c:d web"},
	{"since that is no time", "logs --since yesterday"},
	{"format of ps", "ps --format csv"},
	{"format of config", "config --format xml"},
	{"format of plan", "plan --format xml"},
	{"hash of no service", "config --hash nosuch"},
	{"variable of no likeness", "config --explain QQQQ"},
	{"command mistyped", "upp -d"},
	{"command of nothing like it", "frobnicate"},
	{"subcommand mistyped", "volume lss"},
	{"argument too many", "doctor now"},
	{"argument too few", "explain"},
	{"stop of both kinds", "system stop --all --keep"},
	{"volume unknown", "volume rm nosuch"},
	{"network unknown", "network rm nosuch"},
	{"port that is no number", "port web http"},
	{"wait for nothing that runs", "wait web"},
	{"mistakes of a file", "-f mistakes.yaml up"},
	{"mistakes of a file as JSON", "--progress json -f mistakes.yaml up"},
	{"file that is a folder", "-f folder up"},
	{"file that may not be read as YAML", "-f broken.yaml up"},
	{"profile without a service", "-f profiles.yaml up"},
	{"watch of no service", "watch wbe"},
	{"watch of two kinds", "watch --status --pause"},
	{"watch explain without a path", "watch --explain"},
	{"watch up in a dry run", "--dry-run up --watch"},
	{"watch path missing", "-f watched.yaml watch"},
	{"watch rules of wrong types", "-f types.yaml watch"},
	{"prune that is no switch", "watch --prune=maybe"},
	{"image that is no name", "-f image.yaml up"},
	{"image import of no file", "image import nope.tar shop"},
	{"image load of no file", "image load -i nope.tar"},
	{"exec of a number too high", "exec --index 9 web true"},
	{"logs tail that is no number", "logs --tail few"},
	{"stop of no service", "stop wbe"},
	{"rm of no service", "rm -f wbe"},
	{"cp without a container", "cp a b"},
	{"cp of no service", "cp wbe:/x ."},
	{"port that is not published", "port web 99"},
	{"top of no service", "top wbe"},
	{"kill of no service", "kill wbe"},
	{"pause of no service", "pause wbe"},
	{"wait for no service", "wait wbe"},
	{"restart of no service", "restart wbe"},
	{"start of no service", "start wbe"},
	{"images of no service", "images wbe"},
	{"port of no service", "port wbe 80"},
	{"attach to no service", "attach wbe"},
	{"export of no service", "export wbe"},
	{"build of no service", "build wbe"},
	{"pull of no service", "pull wbe"},
	{"create of no service", "create wbe"},
	{"profile flag without a value", "--profile"},
	{"parallel of no number", "--parallel many up"},
	{"parallel below minus one", "--parallel -7 up"},
	{"state folder that is relative to a file", "--state-dir compose.yaml/x ps"},
	{"completion of no shell", "completion tcsh"},
	{"help of no command", "help frobnicate"},
	{"scale of a fixed name", "-f fixed.yaml up --scale web=2"},
	{"events since that is no time", "events --since soon"},
	{"rmi of neither", "down --rmi some"},
	{"volume of two names and a wrong one", "volume inspect data nosuch"},
	{"detach keys that are none", "attach --detach-keys ctrl- web"},
	{"settings with an unknown key", "MYCOMPOSE_HOST_ADDRESS=everywhere up"},
}

const watchedWrong = `name: shop
services:
  web:
    image: busybox
    develop:
      watch:
        - {path: ./nope, action: sync, target: /app}
        - {path: ./compose.yaml/x, action: restart}
`

const watchedTypes = `name: shop
services:
  web:
    image: busybox
    develop:
      watch:
        - {path: [a], action: sync, target: /app}
        - {path: ., action: {sync: true}, target: /app}
        - {path: ., action: move, target: /app}
        - {action: restart}
        - {path: ., action: sync, target: 5}
        - restart
  db:
    image: busybox
    develop: {watch: {path: ., action: restart}}
  job:
    image: busybox
    develop: [watch]
`

func TestWrongCommandLinesSayWhatIsWrongAndChangeNothing(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	h.write("wrong.env", "A=1\nthis is no line\n")
	h.write("mistakes.yaml", "name: shop\nservices:\n  web:\n    imagee: busybox\n    ports: [\"99999:80\"]\n    depends_on: [dbb]\n  db:\n    image: busybox\n    restart: sometimes\n")
	h.write("broken.yaml", "services:\n  web: {image: busybox\n")
	h.write("image.yaml", "name: shop\nservices:\n  web: {image: 'Busy Box'}\n")
	h.write("fixed.yaml", "name: shop\nservices:\n  web: {image: busybox, container_name: one}\n")
	h.write("watched.yaml", watchedWrong)
	h.write("types.yaml", watchedTypes)
	h.write("profiles.yaml", "name: shop\nservices: {a: {image: busybox, profiles: [x]}}\n")
	if err := os.Mkdir(filepath.Join(h.dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range wrong {
		t.Run(c.name, func(t *testing.T) {
			words := strings.Fields(c.line)
			var env []string
			for strings.Contains(words[0], "=") {
				env, words = append(env, words[0]), words[1:]
			}
			var out, errs lockedBuffer
			code := Run(t.Context(), Process{
				Args: words, Dir: h.dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
				Environment: append(env, "HOME="+h.home, "MYCOMPOSE_STATE_DIR="+h.place.State, "MYCOMPOSE_RUN_ROOT="+h.place.RunRoot),
				Catch:       func() (<-chan os.Signal, func()) { return nil, func() {} }, Keeper: h, Version: "v1.2.3",
			})
			got := ended{out.String(), errs.String(), code}
			if got.code == 0 {
				t.Error("it succeeded")
			}
			text := fmt.Sprintf("$ %s\nexit code %d\n", strings.Join(append(slices.Clone(env), append([]string{"mycompose"}, words...)...), " "), got.code)
			if got.out != "" {
				text += "-- standard output\n" + got.out
			}
			text += "-- standard error\n" + got.err
			text = strings.ReplaceAll(text, h.dir, "/app")
			path := filepath.Join("testdata", "wrong", strings.ReplaceAll(c.name, " ", "-")+".txt")
			if *updateWrong {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if text != string(want) {
				t.Errorf("%s differs.\ngot:\n%s\nwant:\n%s", path, text, want)
			}
		})
	}
	if there, err := h.fake.Containers(t.Context(), ""); err != nil || len(there) > 0 {
		t.Errorf("something was made: %v, %v", there, err)
	}
	if list, err := h.fake.Networks(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("networks were made: %v, %v", list, err)
	}
}
