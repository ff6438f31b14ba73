package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

func TestUntarLimits(t *testing.T) {
	kerneltest.NeedRoot(t)
	huge := func(size int64) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		h := &tar.Header{Name: "huge", Typeflag: tar.TypeReg, Mode: 0o644, Size: size, Format: tar.FormatGNU}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		return append(out.Bytes(), make([]byte, 4096)...)
	}
	sparse := sparseArchive(1<<40, "data")
	many := make([]entry, 50)
	for i := range many {
		many[i] = entry{name: "f" + string(rune('a'+i))}
	}
	for _, test := range []struct {
		name  string
		raw   []byte
		opts  UntarOptions
		fails error
		text  string
	}{
		{"a file of 8 EB", huge(1<<63 - 1), UntarOptions{}, ErrLimit, ""},
		{"a sparse file of 1 TB", sparse, UntarOptions{}, ErrLimit, ""},
		{"more entries than allowed", archive(t, many...), UntarOptions{MaxEntries: 49}, ErrLimit, ""},
		{"files that are too large together", archive(t, entry{name: "a", data: "12345"}, entry{name: "b", data: "12345"}), UntarOptions{MaxBytes: 9}, ErrLimit, ""},
		{"endless padding", append(archive(t), make([]byte, maxPadding+1)...), UntarOptions{}, ErrLimit, ""},
		{"a header of 10 MB", withType('x', archive(t, entry{name: "x", data: strings.Repeat("x", 10<<20)})), UntarOptions{}, nil, "too long"},
		{"a truncated file", huge(1 << 20), UntarOptions{}, io.ErrUnexpectedEOF, ""},
		{"no archive at all", bytes.Repeat([]byte("not a tar "), 200), UntarOptions{}, tar.ErrHeader, ""},
		{"a negative size", negativeSize(archive(t, entry{name: "x", data: "x"})), UntarOptions{}, tar.ErrHeader, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSandbox(t)
			_, err := Untar(context.Background(), s.root.FD(), bytes.NewReader(test.raw), test.opts)
			if err == nil || test.fails != nil && !errors.Is(err, test.fails) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v %s", err, test.fails, test.text)
			}
		})
	}
}

// sparseArchive has one file "sparse" (PAX 1.0 sparse form) of size bytes with
// data at its start.
func sparseArchive(size int64, data string) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	table := "1\n0\n" + itoa(int64(len(data))) + "\n"
	body := table + strings.Repeat("\x00", 512-len(table)) + data
	if err := w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body)), Format: tar.FormatPAX,
		PAXRecords: map[string]string{"XGNU.sparse": "x"}}); err != nil {
		panic(err)
	}
	w.Write([]byte(body))
	w.Close()
	// The writer refuses GNU.sparse keys, so the record is written by hand.
	raw := out.Bytes()
	record := func(k, v string) string {
		for n := len(k) + len(v) + 3; ; n++ {
			if s := itoa(int64(n)) + " " + k + "=" + v + "\n"; len(s) == n {
				return s
			}
		}
	}
	pax := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "sparse") + record("GNU.sparse.realsize", itoa(size))
	header := raw[:512]
	copy(header[124:136], []byte("00000000000\x00"))
	copy(header[124:135], []byte(octal(int64(len(pax)), 11)))
	header = withSum(header)
	return append(append(append([]byte{}, header...), pad(pax)...), raw[1024:]...)
}

func pad(s string) []byte { return append([]byte(s), make([]byte, (512-len(s)%512)%512)...) }

func itoa(n int64) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func octal(n int64, width int) string {
	s := ""
	for range width {
		s = string(rune('0'+n%8)) + s
		n /= 8
	}
	return s
}

// negativeSize rewrites the size of the first header as base-256 -1.
func negativeSize(raw []byte) []byte {
	for i := 124; i < 136; i++ {
		raw[i] = 0xff
	}
	return withSum(raw)
}

// withType changes the type of the first entry.
func withType(kind byte, raw []byte) []byte {
	raw[156] = kind
	return withSum(raw)
}

// withSum writes the checksum of the first header anew.
func withSum(raw []byte) []byte {
	copy(raw[148:156], "        ")
	sum := int64(0)
	for _, b := range raw[:512] {
		sum += int64(b)
	}
	copy(raw[148:156], []byte(octal(sum, 6)+"\x00 "))
	return raw
}

func TestUntarLeavesHoles(t *testing.T) {
	kerneltest.NeedRoot(t)
	s := newSandbox(t)
	if _, err := s.untar(t, sparseArchive(64<<20, "data")); err != nil {
		t.Fatal(err)
	}
	st, err := s.root.Stat("sparse")
	if err != nil {
		t.Fatal(err)
	}
	if st.Size != 64<<20 || st.Blocks*512 > 4<<20 {
		t.Errorf("the sparse file has %d bytes and takes %d on disk", st.Size, st.Blocks*512)
	}
	raw, err := s.root.ReadFile("sparse", 64<<20)
	if err != nil || string(raw[:4]) != "data" || strings.Trim(string(raw[4:]), "\x00") != "" {
		t.Errorf("its content is wrong: %v", err)
	}
}

func TestUntarEndsWithItsContext(t *testing.T) {
	s := newSandbox(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Untar(ctx, s.root.FD(), bytes.NewReader(archive(t, entry{name: "x"})), UntarOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func FuzzUntar(f *testing.F) {
	f.Add(archive(f, entry{name: "a/b", data: "x"}, entry{name: "l", kind: tar.TypeSymlink, link: "../.."}, entry{name: "l/x", data: "y"}))
	f.Add(archive(f, entry{name: ".wh.x"}, entry{name: "h", kind: tar.TypeLink, link: "a"}))
	f.Add(sparseArchive(1<<20, "data"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newSandbox(t)
		// Errors are fine; what counts is that nothing outside changes.
		opts := UntarOptions{MaxBytes: 1 << 22, MaxEntries: 200}
		_, _ = Untar(context.Background(), s.root.FD(), bytes.NewReader(raw), opts)
		if after := s.listOutside(t); after != s.before {
			t.Fatalf("something outside the target has changed:\nbefore:\n%safter:\n%s", s.before, after)
		}
	})
}
