package container

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestArguments(t *testing.T) {
	image := spec.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"serve"}}
	for _, c := range []struct {
		name                string
		entrypoint, command []string
		image               spec.ImageConfig
		want                string
	}{
		{"nothing given takes the image's both", nil, nil, image, "/entry serve"},
		{"a command replaces the image's command", nil, []string{"x"}, image, "/entry x"},
		{"an empty command clears the image's", nil, []string{}, image, "/entry"},
		{"an entrypoint drops the image's command", []string{"e"}, nil, image, "e"},
		{"entrypoint and command", []string{"e"}, []string{"c"}, image, "e c"},
		{"an empty entrypoint leaves the command alone", []string{}, []string{"c"}, image, "c"},
		{"an image with a command only", nil, nil, spec.ImageConfig{Cmd: []string{"c"}}, "c"},
		{"nothing at all is an error", []string{}, nil, image, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Resolve(spec.Blueprint{ID: strings.Repeat("a", 64), Entrypoint: c.entrypoint, Command: c.command}, c.image)
			if got := strings.Join(p.Args, " "); got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	image := spec.ImageConfig{Cmd: []string{"c"}, Env: []string{"PATH=/image", "A=image", "B=image", "DROP=1"}}
	b := spec.Blueprint{ID: "0123456789abcdef", Terminal: true, Unset: []string{"DROP"},
		Environment: map[string]string{"B": "own=x", "Z": ""}}
	p, err := Resolve(b, image)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"PATH=/image", "HOSTNAME=0123456789ab", "TERM=xterm", "A=image", "B=own=x", "Z="}
	if !slices.Equal(p.Env, want) {
		t.Errorf("got %q, want %q", p.Env, want)
	}
}

func TestWorkingDirectory(t *testing.T) {
	for _, c := range []struct{ own, image, want string }{
		{"", "", "/"}, {"", "app", "/app"}, {"", "/a/../b", "/b"}, {"/own/", "/app", "/own"}, {"own", "/app", ""},
	} {
		got, err := workingDir(c.own, c.image)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%+v: got %q, %v", c, got, err)
		}
	}
}

func TestSignal(t *testing.T) {
	for name, want := range map[string]int{
		"": 15, "SIGTERM": 15, "term": 15, "KILL": 9, "9": 9, "SIGRTMIN": 34, "RTMIN+3": 37, "SIGRTMAX-1": 63, "64": 64,
		"0": 0, "65": 0, "-1": 0, "SIGNOPE": 0, "RTMIN3": 0, "RTMIN+31": 0, "RTMAX+1": 0, "RTMINx": 0,
	} {
		got, err := Signal(name)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d, %v; want %d", name, got, err, want)
		}
	}
}

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/srv/app:/bin/sh\n1000:x:0:0:trap:/root:/bin/sh\n" +
		"broken\nneg:x:-1:0::/:\nhuge:x:4294967295:0::/:\n" + "odd:x:5:6:odd:relative:/bin/sh"
	testGroup = "root:x:0:\napp:x:1001:\nmedia:x:44:app,root\nvideo:x:45:app\n2000:x:0:app2\n"
)

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name, user string
		add        []string
		uid, gid   uint32
		groups     []uint32
		home       string
		fails      bool
	}{
		{"empty is root", "", nil, 0, 0, []uint32{0, 44}, "/root", false},
		{"a name with its groups", "app", nil, 1000, 1001, []uint32{1001, 44, 45}, "/srv/app", false},
		{"digits are the number even if a name is equal", "1000", nil, 1000, 1001, []uint32{1001, 44, 45}, "/srv/app", false},
		{"an unknown number is itself in group 0", "77", nil, 77, 0, []uint32{0}, "/", false},
		{"an explicit group leaves no others", "app:media", nil, 1000, 44, []uint32{44}, "/srv/app", false},
		{"an explicit numeric group", "77:88", nil, 77, 88, []uint32{88}, "/", false},
		{"a numeric group is never a name", "app:2000", nil, 1000, 2000, []uint32{2000}, "/srv/app", false},
		{"added groups come after", "77", []string{"video", "9", "0"}, 77, 0, []uint32{0, 45, 9}, "/", false},
		{"a relative home is not used", "odd", nil, 5, 6, []uint32{6}, "/", false},
		{"an unknown name", "nobody", nil, 0, 0, nil, "", true},
		{"an unknown group", "app:nobody", nil, 0, 0, nil, "", true},
		{"an unknown added group", "app", []string{"nobody"}, 0, 0, nil, "", true},
		{"a number above the range", "2147483648", nil, 0, 0, nil, "", true},
		{"the number that is -1", "4294967295", nil, 0, 0, nil, "", true},
		{"a number that overflows", "18446744073709551616", nil, 0, 0, nil, "", true},
		{"a negative number", "-1", nil, 0, 0, nil, "", true},
		{"hexadecimal", "0x0", nil, 0, 0, nil, "", true},
		{"trailing space", "0 ", nil, 0, 0, nil, "", true},
		{"a group above the range", "0:4294967295", nil, 0, 0, nil, "", true},
		{"an entry with a bad id is skipped", "neg", nil, 0, 0, nil, "", true},
		{"an entry with a huge id is skipped", "huge", nil, 0, 0, nil, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := Identify([]byte(testPasswd), []byte(testGroup), c.user, c.add)
			if (err != nil) != c.fails {
				t.Fatalf("got %+v, %v", id, err)
			}
			if err == nil && (id.UID != c.uid || id.GID != c.gid || !slices.Equal(id.Groups, c.groups) || id.Home != c.home) {
				t.Errorf("got %+v", id)
			}
		})
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add([]byte(testPasswd), []byte(testGroup), "app:media")
	f.Fuzz(func(t *testing.T, passwd, group []byte, user string) {
		id, err := Identify(passwd, group, user, nil)
		if err == nil && (id.UID > maxID || id.GID > maxID) {
			t.Errorf("id out of range: %+v", id)
		}
	})
}

func TestHealthCommand(t *testing.T) {
	for _, c := range []struct {
		test []string
		want string
	}{
		{[]string{"CMD", "a", "b c"}, "a|b c"},
		{[]string{"CMD-SHELL", "a b"}, "/bin/sh|-c|a b"},
		{[]string{"NONE"}, ""}, {nil, ""}, {[]string{"CMD"}, ""},
	} {
		got, err := HealthCommand(c.test)
		if strings.Join(got, "|") != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: got %q, %v", c.test, got, err)
		}
	}
}
