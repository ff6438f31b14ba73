package cli

import "testing"

func TestACopyLandsWhereDockerCpHasIt(t *testing.T) {
	file, dir := place{path: "/a/f", exists: true}, place{path: "/a/d", exists: true, isDir: true}
	content := place{path: "/a/d/.", exists: true, isDir: true}
	missing, folder := place{path: "/to/new"}, place{path: "/to", exists: true, isDir: true}
	for _, c := range []struct {
		name     string
		from, to place
		want     landing
		wrong    bool
	}{
		{"file to missing", file, missing, landing{folder: "/to", name: "new"}, false},
		{"file to missing folder", file, place{path: "/to/new/"}, landing{}, true},
		{"file to file", file, place{path: "/to/x", exists: true}, landing{folder: "/to", name: "x"}, false},
		{"file to file as folder", file, place{path: "/to/x/", exists: true}, landing{}, true},
		{"file to folder", file, folder, landing{folder: "/to", name: "f"}, false},
		{"folder to missing", dir, missing, landing{folder: "/to", name: "new"}, false},
		{"content to missing", content, missing, landing{folder: "/to", name: "new"}, false},
		{"folder to file", dir, place{path: "/to/x", exists: true}, landing{}, true},
		{"folder to folder", dir, folder, landing{folder: "/to", name: "d"}, false},
		{"content to folder", content, folder, landing{folder: "/to", content: true}, false},
		{"all to folder", place{path: "/", exists: true, isDir: true}, folder, landing{folder: "/to", content: true}, false},
	} {
		got, err := landingOf(c.from, c.to)
		if got != c.want || (err != nil) != c.wrong {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestTheSideOfAPathIsItsBegin(t *testing.T) {
	for argument, want := range map[string][2]string{
		"web:/x": {"web", "/x"}, "./a:b": {"", "./a:b"}, "/a:b": {"", "/a:b"}, "x": {"", "x"}, "-": {"", "-"}, "web:": {"web", ""},
	} {
		if service, name := splitService(argument); service != want[0] || name != want[1] {
			t.Errorf("%s: %q %q", argument, service, name)
		}
	}
}
