package spawn

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

// maxMessage bounds what a stage says.
const maxMessage = 64 << 10

// converse hands the recipe over and listens until the program runs, or to
// what went wrong. A terminal may come back in both cases.
func converse(socket int, body []byte) (terminal *os.File, err error) {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	sendErr := sendAll(socket, append(head, body...))
	ready := false
	for {
		kind, message, file, err := receive(socket)
		if file != nil {
			terminal = file
		}
		switch {
		case errors.Is(err, io.EOF) && ready:
			return terminal, nil
		case err != nil:
			return terminal, &Error{Step: "stage", Code: 126,
				Text: fmt.Sprintf("cannot start: the stage ended before it was done; is a memory or pids limit too low? (%v)", errors.Join(sendErr, err))}
		}
		switch kind {
		case recipe.MessageReady:
			ready = true
		case recipe.MessageError:
			var f recipe.Failure
			if err := json.Unmarshal(message, &f); err != nil {
				f = recipe.Failure{Step: "stage", Text: "cannot start: the stage failed without a reason", Code: 126}
			}
			return terminal, &Error{Step: f.Step, Text: f.Text, Code: f.Code}
		}
	}
}

func sendAll(socket int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.SendmsgN(socket, data, nil, nil, unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// receive reads one message: kind, length, body; a descriptor comes with its
// first byte.
func receive(socket int) (kind byte, body []byte, file *os.File, err error) {
	var head [5]byte
	file, err = readFull(socket, head[:])
	if err != nil {
		return 0, nil, file, err
	}
	size := binary.LittleEndian.Uint32(head[1:])
	if size > maxMessage {
		return 0, nil, file, fmt.Errorf("message of %d bytes", size)
	}
	body = make([]byte, size)
	_, err = readFull(socket, body)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return head[0], body, file, err
}

func readFull(socket int, buf []byte) (file *os.File, err error) {
	oob := make([]byte, unix.CmsgSpace(4))
	for read := 0; read < len(buf); {
		n, oobn, _, _, err := unix.Recvmsg(socket, buf[read:], oob, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && oobn > 0 {
			file = descriptor(oob[:oobn])
		}
		switch {
		case errors.Is(err, unix.ECONNRESET), err == nil && n == 0 && read == 0:
			return file, io.EOF
		case err != nil:
			return file, err
		case n == 0:
			return file, io.ErrUnexpectedEOF
		}
		read += n
	}
	return file, nil
}

func descriptor(oob []byte) *os.File {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, message := range messages {
		fds, err := unix.ParseUnixRights(&message)
		if err == nil && len(fds) > 0 {
			return os.NewFile(uintptr(fds[0]), "terminal")
		}
	}
	return nil
}
