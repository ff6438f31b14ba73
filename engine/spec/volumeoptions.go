package spec

import (
	"fmt"
	"slices"
	"strings"
)

// VolumeOptions is what the options of a volume say: without any it is a folder
// of the engine's own.
type VolumeOptions struct {
	// Type is the file system that the volume is, such as "tmpfs" or "nfs"; "" for a
	// folder.
	Type string
	// Device is the folder of the host that the volume shows; of a file system
	// its source, as mount(8) has it.
	Device   string
	ReadOnly bool
	// Words are the mount options of a file system, in order: "ro", "size=1m".
	Words []string
}

// InMemory reports whether the content is gone when nothing uses the volume.
func (o VolumeOptions) InMemory() bool { return o.Type == "tmpfs" || o.Type == "ramfs" }

// Value is what the last of the mount options of these names is set to.
func (o VolumeOptions) Value(names ...string) (value string, given bool) {
	for _, word := range o.Words {
		if name, text, ok := strings.Cut(word, "="); ok && slices.Contains(names, name) {
			value, given = text, true
		}
	}
	return value, given
}

// longestOption is what fsconfig(2) takes as one option's value, in bytes.
const longestOption = 255

// ParseVolumeOptions reads type, o and device as dockerd's driver local has
// them: a folder of the host (type none or none given, o bind), or a file system
// of any type. Whether the kernel has that and takes its options is known when it
// is mounted. All mistakes are returned, sorted by option.
func ParseVolumeOptions(options map[string]string) (VolumeOptions, []OptionError) {
	if len(options) == 0 {
		return VolumeOptions{}, nil
	}
	r := volumeReader{bindable: slices.Contains([]string{"", "none", "bind"}, options["type"])}
	for _, name := range sortedNames(options) {
		switch value := options[name]; name {
		case "device":
			r.device(value)
		case "type":
			r.kind(value)
		case "o":
			r.words(value)
		default:
			r.add(name, true, "option "+name, "use type, o and device")
		}
	}
	if len(r.wrong) == 0 {
		r.whole()
	}
	return r.out, r.wrong
}

// volumeReader collects what ParseVolumeOptions finds.
type volumeReader struct {
	out      VolumeOptions
	wrong    []OptionError
	bindable bool // it is a folder of the host, if anything
	bind     bool // and says so
}

func (r *volumeReader) add(option string, unknown bool, text, right string) {
	r.wrong = append(r.wrong, OptionError{Option: option, Unknown: unknown, Wrong: text, Right: right})
}

func (r *volumeReader) kind(value string) {
	if r.bindable {
		return
	}
	r.out.Type = value
	if strings.Trim(value, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		r.add("type", false, fmt.Sprintf("%q is no name of a file system", value), "write one of /proc/filesystems, such as tmpfs, nfs or ext4")
	}
}

func (r *volumeReader) device(value string) {
	r.out.Device = value
	switch {
	case r.bindable && !strings.HasPrefix(value, "/"):
		r.add("device", false, fmt.Sprintf("%q is no absolute path", value), "name a folder of this host")
	case len(value) > longestOption:
		r.add("device", false, fmt.Sprintf("it has %d bytes", len(value)), fmt.Sprintf("the kernel takes %d", longestOption))
	}
}

// notHere are words of mount(8) that change a mount that stands, or make one of a
// folder.
var notHere = []string{
	"bind", "rbind", "remount", "move", "shared", "rshared", "slave", "rslave",
	"private", "rprivate", "unbindable", "runbindable",
}

func (r *volumeReader) words(value string) {
	for word := range strings.SplitSeq(value, ",") {
		word = strings.TrimSpace(word)
		name, text, _ := strings.Cut(word, "=")
		switch {
		case word == "":
			continue
		case word == "ro", word == "rw":
			r.out.ReadOnly = word == "ro"
		case r.bindable && (word == "bind" || word == "rbind"):
			r.bind = true
		case r.bindable:
			r.add("o", true, "mount option "+word, "use bind, with ro for read-only; or name the file system to mount as type")
		case slices.Contains(notHere, word):
			r.add("o", false, word+" is for folders of this host", "take it away, or write type: none")
		case len(text) > longestOption:
			r.add("o", false, fmt.Sprintf("the value of %s has %d bytes", name, len(text)), fmt.Sprintf("the kernel takes %d", longestOption))
		}
		if !r.bindable {
			r.out.Words = append(r.out.Words, word)
		}
	}
}

// whole looks at what only shows when all has been read.
func (r *volumeReader) whole() {
	network := r.out.Type == "nfs" || r.out.Type == "nfs4"
	_, address := r.out.Value("addr")
	switch device := r.out.Device; {
	case device == "" && r.bindable:
		r.add("device", false, "there is no device", "name a folder of this host")
	case device == "" && r.out.InMemory():
		r.add("device", false, "there is no device", "write device: "+r.out.Type)
	case device == "":
		r.add("device", false, "there is no device", "name what is to be mounted: a block device, or server:/folder")
	case r.bindable && !r.bind:
		r.add("o", false, "it does not say bind", "write o: bind")
	case network && !strings.Contains(device, ":/"):
		r.add("device", false, fmt.Sprintf("%q is no folder of a server", device), "write :/folder or server:/folder")
	case network && !address:
		r.add("o", false, "there is no addr", "write o: addr=SERVER, with further options after a comma")
	case r.out.Type == "cifs" && CIFSServer(device) == "":
		r.add("device", false, fmt.Sprintf("%q is no share", device), "write //server/share")
	}
}

// CIFSServer is the server in //server/share, "" if it is not of that form.
func CIFSServer(device string) string {
	rest, ok := strings.CutPrefix(strings.ReplaceAll(device, `\`, "/"), "//")
	server, share, found := strings.Cut(rest, "/")
	if !ok || !found || share == "" {
		return ""
	}
	return server
}
