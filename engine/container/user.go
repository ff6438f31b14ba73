package container

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

const (
	// maxAccountFile bounds /etc/passwd and /etc/group of a hostile image.
	maxAccountFile = 4 << 20
	maxID          = 1<<31 - 1 // above it some kernels and programs see -1
)

// Identity is a user in numbers.
type Identity struct {
	UID, GID uint32
	// Groups are supplementary ones, the primary group first.
	Groups []uint32
	Home   string
}

// LookUpUser resolves "name|uid[:name|gid]" (empty is root) and the further
// groups with /etc/passwd and /etc/group of the container's root file system.
func LookUpUser(root *tree.Root, user string, groupAdd []string) (Identity, error) {
	passwd, err := accountFile(root, "/etc/passwd")
	if err != nil {
		return Identity{}, err
	}
	group, err := accountFile(root, "/etc/group")
	if err != nil {
		return Identity{}, err
	}
	return Identify(passwd, group, user, groupAdd)
}

func accountFile(root *tree.Root, name string) ([]byte, error) {
	data, err := root.ReadFile(name, maxAccountFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the container's %s: %w", name, err)
	}
	return data, nil
}

// Identify resolves user and groups with the content of passwd(5) and
// group(5). What consists of digits is always a number, never a name, so that
// an entry *named* 1000 with id 0 gives nobody root.
func Identify(passwd, group []byte, user string, groupAdd []string) (Identity, error) {
	userPart, groupPart, hasGroup := strings.Cut(user, ":")
	if userPart == "" {
		userPart = "0"
	}
	id := Identity{Home: "/"}
	name, err := identifyUser(passwd, userPart, &id)
	if err != nil {
		return Identity{}, err
	}
	var groups []uint32
	if hasGroup && groupPart != "" {
		if id.GID, err = identifyGroup(group, groupPart); err != nil {
			return Identity{}, err
		}
	} else if name != "" {
		groups = memberships(group, name)
	}
	id.Groups = []uint32{id.GID}
	for _, extra := range groupAdd {
		gid, err := identifyGroup(group, extra)
		if err != nil {
			return Identity{}, err
		}
		groups = append(groups, gid)
	}
	for _, gid := range groups {
		if !slices.Contains(id.Groups, gid) {
			id.Groups = append(id.Groups, gid)
		}
	}
	return id, nil
}

// identifyUser fills in ids and home and returns the user's name, if passwd
// knows one.
func identifyUser(passwd []byte, user string, id *Identity) (name string, err error) {
	number, numeric, err := number(user)
	if err != nil {
		return "", spec.Errorf(spec.ErrInvalid, "cannot use user %q: %v", user, err)
	}
	for fields := range entries(passwd, 7) {
		uid, isID, err := parseID(fields[2])
		if err != nil || !isID {
			continue
		}
		if numeric && uid != number || !numeric && fields[0] != user {
			continue
		}
		gid, isID, err := parseID(fields[3])
		if err != nil || !isID {
			continue
		}
		id.UID, id.GID = uid, gid
		if strings.HasPrefix(fields[5], "/") {
			id.Home = fields[5]
		}
		return fields[0], nil
	}
	if !numeric {
		return "", spec.Errorf(spec.ErrInvalid, "cannot find user %q in the container's /etc/passwd; name one that the image has, or a number", user)
	}
	id.UID = number
	return "", nil
}

func identifyGroup(group []byte, word string) (uint32, error) {
	gid, numeric, err := number(word)
	if err != nil {
		return 0, spec.Errorf(spec.ErrInvalid, "cannot use group %q: %v", word, err)
	}
	if numeric {
		return gid, nil
	}
	for fields := range entries(group, 4) {
		if fields[0] == word {
			if gid, isID, err := parseID(fields[2]); err == nil && isID {
				return gid, nil
			}
		}
	}
	return 0, spec.Errorf(spec.ErrInvalid, "cannot find group %q in the container's /etc/group", word)
}

func memberships(group []byte, user string) (gids []uint32) {
	for fields := range entries(group, 4) {
		if !slices.Contains(strings.Split(fields[3], ","), user) {
			continue
		}
		if gid, isID, err := parseID(fields[2]); err == nil && isID {
			gids = append(gids, gid)
		}
	}
	return gids
}

// entries yields the lines of passwd(5) or group(5) that have enough fields.
func entries(data []byte, want int) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range bytes.Lines(data) {
			fields := strings.Split(strings.TrimRight(string(line), "\r\n"), ":")
			if len(fields) < want || fields[0] == "" || strings.HasPrefix(fields[0], "#") {
				continue
			}
			if !yield(fields) {
				return
			}
		}
	}
}

// number parses what a user wrote: digits only are a number, out of range is
// an error, a sign before digits too.
func number(word string) (id uint32, numeric bool, err error) {
	if strings.TrimLeft(word, "+-") != word && strings.Trim(word, "+-0123456789") == "" {
		return 0, false, errors.New("an id has no sign")
	}
	return parseID(word)
}

func parseID(word string) (id uint32, numeric bool, err error) {
	if word == "" || strings.Trim(word, "0123456789") != "" {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil || n > maxID {
		return 0, true, fmt.Errorf("ids are 0 to %d", maxID)
	}
	return uint32(n), true, nil
}
