package tree

import (
	"os"

	"golang.org/x/sys/unix"
)

// note remembers that this archive brought base: a whiteout speaks of lower
// layers only, wherever in the archive it stands.
func (u *untar) note(parent int, base string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if u.made == nil {
		u.made = map[inode]bool{}
	}
	u.made[inodeOf(&st)] = true
	return nil
}

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} }

// takeAway is whiteout for a merged directory: the overlay hides what is
// removed from it.
func (u *untar) takeAway(parent int, base string) error {
	if base == whiteoutOpaque {
		_, err := u.clear(parent, ".")
		return err
	}
	hidden, err := hiddenName(base)
	if hidden == "" || err != nil {
		return err
	}
	_, err = u.remove(parent, hidden)
	return err
}

// remove removes base unless this archive brought it or something below it,
// and says whether anything stays.
func (u *untar) remove(parent int, base string) (stays bool, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	stays = u.made[inodeOf(&st)]
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		below, err := u.clear(parent, base)
		if err != nil {
			return true, err
		}
		stays = stays || below
	}
	if stays {
		return true, nil
	}
	return false, removeAt(parent, base)
}

// clear removes what the directory base holds and this archive did not bring.
func (u *untar) clear(parent int, base string) (stays bool, err error) {
	fd, err := unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return true, err
	}
	dir := os.NewFile(uintptr(fd), base)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return true, err
	}
	for _, name := range names {
		stay, err := u.remove(fd, name)
		if err != nil {
			return true, err
		}
		stays = stays || stay
	}
	return stays, nil
}
