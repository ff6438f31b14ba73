package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// pair returns two connected peers; both serve until the test's end.
func pair(t *testing.T, left, right Handler) (*Peer, *Peer) {
	t.Helper()
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	peers := [2]*Peer{}
	var serving sync.WaitGroup
	for i, fd := range []int{a, b} {
		conn, err := NewConn(fd)
		if err != nil {
			t.Fatal(err)
		}
		peers[i] = NewPeer(conn, []Handler{left, right}[i])
		serving.Go(func() {
			if err := peers[i].Serve(context.Background()); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		peers[0].Close()
		peers[1].Close()
		serving.Wait()
	})
	return peers[0], peers[1]
}

func refuse(context.Context, *Request) (Reply, error) { return Reply{}, errors.New("no calls here") }

func TestCallsGoBothWaysWithBodiesAndDescriptors(t *testing.T) {
	var left *Peer
	left, right := pair(t,
		func(_ context.Context, r *Request) (Reply, error) {
			var n int
			err := r.Decode(&n)
			return Reply{Body: n + 1}, err
		},
		func(_ context.Context, r *Request) (Reply, error) {
			content, err := io.ReadAll(r.Files[0])
			closeFiles(r.Files)
			if err != nil {
				return Reply{}, err
			}
			read, write, err := os.Pipe()
			if err != nil {
				return Reply{}, err
			}
			defer write.Close()
			_, err = write.WriteString("back")
			return Reply{Body: string(content), Files: []*os.File{read}}, err
		})
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("forth"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var answer string
	files, err := left.Call(context.Background(), "x", nil, &answer, file)
	if err != nil || answer != "forth" || len(files) != 1 {
		t.Fatalf("%q, %d files, %v", answer, len(files), err)
	}
	defer files[0].Close()
	if back, err := io.ReadAll(files[0]); err != nil || string(back) != "back" {
		t.Errorf("the descriptor that came back says %q, %v", back, err)
	}
	flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("a received descriptor is not close-on-exec: %x, %v", flags, err)
	}
	var next int
	if _, err := right.Call(context.Background(), "y", 41, &next); err != nil || next != 42 {
		t.Errorf("the other way: %d, %v", next, err)
	}
}

func TestErrorsKeepTheirTextAndCode(t *testing.T) {
	left, _ := pair(t, refuse, func(_ context.Context, r *Request) (Reply, error) {
		if r.Kind == "start" {
			return Reply{}, fmt.Errorf("wrapped: %w", NewStartError("not found", 127))
		}
		return Reply{}, errors.New("plain")
	})
	_, err := left.Call(context.Background(), "start", nil, nil)
	code, ok := StartErrorCode(err)
	if !ok || code != 127 || err.Error() != "wrapped: not found" {
		t.Errorf("%v, code %d %v", err, code, ok)
	}
	_, err = left.Call(context.Background(), "other", nil, nil)
	if _, ok := StartErrorCode(err); ok || err.Error() != "plain" {
		t.Errorf("%v", err)
	}
}

func TestALargeMessageAndAsManyDescriptorsAsTheKernelTakes(t *testing.T) {
	left, _ := pair(t, refuse, func(_ context.Context, r *Request) (Reply, error) {
		n := len(r.Files)
		closeFiles(r.Files)
		return Reply{Body: fmt.Sprintf("%d bytes, %d files", len(r.Body), n)}, nil
	})
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	files := make([]*os.File, MaxFiles)
	for i := range files {
		files[i] = null
	}
	var answer string
	text := strings.Repeat("x", 8<<20)
	if _, err := left.Call(context.Background(), "big", text, &answer, files...); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d bytes, %d files", 8<<20+2, MaxFiles); answer != want {
		t.Errorf("got %q, want %q", answer, want)
	}
	if _, err := left.Call(context.Background(), "big", nil, nil, append(files, null)...); err == nil {
		t.Error("one descriptor too many was sent")
	}
}

func TestNotificationsKeepTheirOrder(t *testing.T) {
	const count = 500
	got := make(chan int, count)
	left, _ := pair(t, refuse, func(_ context.Context, r *Request) (Reply, error) {
		var n int
		err := r.Decode(&n)
		got <- n
		return Reply{}, err
	})
	for i := range count {
		if err := left.Notify("n", i); err != nil {
			t.Fatal(err)
		}
	}
	for want := range count {
		if n := <-got; n != want {
			t.Fatalf("got %d, want %d", n, want)
		}
	}
}

func TestACallEndsWithItsConnectionOrItsContext(t *testing.T) {
	block := make(chan struct{})
	left, right := pair(t, refuse, func(ctx context.Context, r *Request) (Reply, error) {
		close(block)
		<-ctx.Done()
		return Reply{}, ctx.Err()
	})
	done := make(chan error)
	go func() {
		_, err := left.Call(context.Background(), "x", nil, nil)
		done <- err
	}()
	<-block
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := right.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("the connection ended: %v", err)
	}
	if _, err := left.Call(ctx, "x", nil, nil); err == nil {
		t.Error("a call on a connection that has ended")
	}
}

// Whoever calls may be the first to see that this side has closed the connection.
func TestACallOnAConnectionThatIsBeingClosedHasEndedWithIt(t *testing.T) {
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(b)
	conn, err := NewConn(a)
	if err != nil {
		t.Fatal(err)
	}
	peer := NewPeer(conn, refuse) // that does not serve, and so has not noticed
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Call(t.Context(), "x", nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a call: %v", err)
	}
	if err := peer.Notify("x", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a notification: %v", err)
	}
}

func TestSocketsWithLongPathsWork(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, strings.Repeat("f", 64)+".sock")
	for range 2 { // the second time in place of the stale one
		listener, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		conn, err := Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		served, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if pid, err := served.PeerPID(); err != nil || pid != os.Getpid() {
			t.Errorf("pid %d, %v", pid, err)
		}
		for _, c := range []io.Closer{conn, served, listener} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := Dial(path); err == nil {
		t.Error("connected to nobody")
	}
}

func TestASealedProgramRunsAndCannotBeChanged(t *testing.T) {
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]func() (*os.File, error){
		"memfd": func() (*os.File, error) { return SealProgram(bytes.NewReader(program), t.TempDir()) },
	}
	if os.Geteuid() == 0 {
		forms["detached mount"] = func() (*os.File, error) { return detachedCopy(bytes.NewReader(program), t.TempDir()) }
	}
	for name, seal := range forms {
		t.Run(name, func(t *testing.T) {
			file, err := seal()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			again := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
			if writable, err := os.OpenFile(again, os.O_WRONLY, 0); err == nil {
				_, err = writable.WriteAt([]byte("#"), 0)
				writable.Close()
				if err == nil {
					t.Error("it could be written")
				}
			}
			process, err := Small{Program: file, Args: []string{"true"}}.Start()
			if err != nil {
				t.Fatal(err)
			}
			if state, err := process.Wait(); err != nil || !state.Success() {
				t.Errorf("it does not run: %v, %v", state, err)
			}
		})
	}
}

func FuzzReceiveNeverPanics(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, '{', '}'})
	f.Add([]byte{255, 255, 255, 255, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, b, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		conn, err := NewConn(a)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := unix.Write(b, raw[:min(len(raw), 4096)]); err != nil {
			t.Fatal(err)
		}
		unix.Close(b)
		for err == nil {
			_, _, err = conn.Receive()
		}
	})
}
