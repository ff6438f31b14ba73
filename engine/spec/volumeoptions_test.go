package spec

import (
	"reflect"
	"strings"
	"testing"
)

func TestVolumeOptions(t *testing.T) {
	type options = map[string]string
	for _, c := range []struct {
		name  string
		given options
		want  VolumeOptions
		wrong string // one "option: text" for each mistake
	}{
		{"none is a folder of ours", nil, VolumeOptions{}, ""},
		{"a bind", options{"type": "none", "o": "bind,ro", "device": "/srv"}, VolumeOptions{Device: "/srv", ReadOnly: true}, ""},
		{"a bind without type", options{"o": "bind", "device": "/srv"}, VolumeOptions{Device: "/srv"}, ""},
		{"memory", options{"type": "tmpfs", "device": "tmpfs", "o": "size=1m, mode=0750,uid=7"},
			VolumeOptions{Type: "tmpfs", Device: "tmpfs", Words: []string{"size=1m", "mode=0750", "uid=7"}}, ""},
		{"a disk for reading", options{"type": "ext4", "device": "/dev/x", "o": "rw,noatime,,ro"},
			VolumeOptions{Type: "ext4", Device: "/dev/x", ReadOnly: true, Words: []string{"rw", "noatime", "ro"}}, ""},
		{"a server's folder", options{"type": "nfs", "device": ":/srv", "o": "addr=nas,nfsvers=4"},
			VolumeOptions{Type: "nfs", Device: ":/srv", Words: []string{"addr=nas", "nfsvers=4"}}, ""},
		{"a share", options{"type": "cifs", "device": `\\nas\all`}, VolumeOptions{Type: "cifs", Device: `\\nas\all`}, ""},

		{"no device of a bind", options{"o": "bind"}, VolumeOptions{}, "device: there is no device"},
		{"no device of memory", options{"type": "tmpfs"}, VolumeOptions{}, "device: there is no device"},
		{"no server", options{"type": "nfs4", "device": ":/srv", "o": "soft"}, VolumeOptions{}, "o: there is no addr"},
		{"no folder of a server", options{"type": "nfs", "device": "/srv", "o": "addr=1.2.3.4"}, VolumeOptions{}, `device: "/srv" is no folder of a server`},
		{"no share", options{"type": "cifs", "device": "//nas"}, VolumeOptions{}, `device: "//nas" is no share`},
		{"a bind of a file system", options{"type": "xfs", "device": "/dev/x", "o": "bind"}, VolumeOptions{}, "o: bind is for folders of this host"},
		{"a name that is none", options{"type": "tmp fs", "device": "tmpfs"}, VolumeOptions{}, `type: "tmp fs" is no name of a file system`},
		{"what the kernel cannot take", options{"type": "cifs", "device": "//nas/all", "o": "password=" + strings.Repeat("x", 256)}, VolumeOptions{},
			"o: the value of password has 256 bytes"},
		{"many", options{"o": "noatime", "device": "srv", "size": "1"}, VolumeOptions{},
			`device: "srv" is no absolute path, o: mount option noatime, size: option size`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, wrong := ParseVolumeOptions(c.given)
			var texts []string
			for _, w := range wrong {
				texts = append(texts, w.Option+": "+w.Wrong)
				if w.Right == "" {
					t.Errorf("%s says not what would be right", w.Option)
				}
			}
			if text := strings.Join(texts, ", "); text != c.wrong {
				t.Fatalf("mistakes %q, want %q", text, c.wrong)
			}
			if c.wrong == "" && !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
