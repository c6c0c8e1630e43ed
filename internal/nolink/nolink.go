// Package nolink opens, writes and removes files below a directory. It never follows a
// symbolic link.
//
// A Dir is an open directory. Every operation is relative to it and opens one
// path element at a time. If a link replaces a directory between two operations
// or during one, the operation fails with a LinkError. Unlike os.Root, the
// package does not even follow links to targets below the directory.
//
// A path that the user specifies may contain links, and Open follows them.
// Below the directory at such a path, prospector never creates or follows a
// link.
package nolink

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LinkError reports a symbolic link in place of a file or directory.
type LinkError struct {
	Path   string
	Target string // the target of the link, or "" if it is unknown
	More   int    // how many other links were found with it
}

func (e *LinkError) Error() string {
	text := e.Path + " is a symbolic link"
	if e.Target != "" {
		text += " to " + e.Target
	}
	switch {
	case e.More == 1:
		text += ", and there is 1 more"
	case e.More > 1:
		text += fmt.Sprintf(", and there are %d more", e.More)
	}
	return text + ". prospector does not follow links in directories that it writes to, and has not read, written or deleted anything there; replace the link with the file or directory, or move the link away"
}

// Dir is an open directory. Its methods may be called concurrently. Their
// errors wrap the errors of package fs if possible.
type Dir struct {
	path string
	f    *os.File
}

// Open opens the directory at a path that the user specifies. It follows links.
func Open(path string) (*Dir, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{path, f}, nil
}

// MakePrivate opens the root, which the user specifies, and returns the
// directory at the slash-separated path rel below it, as Dir.Make does with
// private. It creates the root if it is missing.
func MakePrivate(root, rel string) (*Dir, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	d, err := Open(root)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Make(rel, true)
}

// Path returns the path of the directory, for messages and for code that accepts only a
// path.
func (d *Dir) Path() string { return d.path }

// Close releases the directory.
func (d *Dir) Close() error { return d.f.Close() }

// Open opens the directory at the slash-separated path rel below d.
func (d *Dir) Open(rel string) (*Dir, error) { return d.walk(rel, (*Dir).open) }

// Make opens the directory at rel and creates missing directories on the way.
// With private, each directory that it creates has mode 0700, independent of
// the umask, and so does each existing directory that this user owns.
func (d *Dir) Make(rel string, private bool) (*Dir, error) {
	return d.walk(rel, func(d *Dir, name string) (*Dir, error) { return d.make(name, private) })
}

// walk opens rel below d, one element at a time.
func (d *Dir) walk(rel string, step func(*Dir, string) (*Dir, error)) (*Dir, error) {
	if rel == "" || rel == "." {
		return d.open(".")
	}
	at := d
	for name := range strings.SplitSeq(rel, "/") {
		next, err := step(at, name)
		if at != d {
			at.Close()
		}
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (d *Dir) open(name string) (*Dir, error) {
	f, err := d.openFile(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{filepath.Join(d.path, name), f}, nil
}

func (d *Dir) make(name string, private bool) (*Dir, error) {
	mode := uint32(0o777)
	if private {
		mode = 0o700
	}
	err := d.do("mkdir", name, func(fd int) error { return unix.Mkdirat(fd, name, mode) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	made, err := d.open(name)
	if err != nil || !private {
		return made, err
	}
	if err := narrow(made.f, 0o700); err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

// narrow sets the mode of a file or directory, unless another user owns it.
func narrow(f *os.File, mode fs.FileMode) error {
	info, err := f.Stat()
	if err != nil || info.Mode().Perm() == mode {
		return err
	}
	if err := f.Chmod(mode); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// OpenFile opens the file with the name in d, like os.OpenFile.
func (d *Dir) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	return d.openFile(name, flag, uint32(mode.Perm()))
}

// Create creates an empty file that only its owner can read, independent of the
// umask. It returns fs.ErrExist if the name exists.
func (d *Dir) Create(name string) (*os.File, error) {
	f, err := d.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// WriteFile writes a file that only its owner can read. It overwrites an
// existing file.
func (d *Dir) WriteFile(name string, data []byte) error {
	f, err := d.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = narrow(f, 0o600)
	if err == nil {
		_, err = f.Write(data)
	}
	return errors.Join(err, f.Close())
}

func (d *Dir) openFile(name string, flag int, mode uint32) (*os.File, error) {
	var fd int
	err := d.do("open", name, func(at int) (err error) {
		fd, err = unix.Openat(at, name, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, name)), nil
}

// do makes one system call for a name in d. It returns a LinkError if the
// kernel refused to follow a link.
func (d *Dir) do(op, name string, call func(fd int) error) error {
	err := unix.EINTR
	for err == unix.EINTR {
		err, _ = call(int(d.f.Fd())).(unix.Errno) //nolint:errorlint // the kernel's error is not wrapped
	}
	defer runtime.KeepAlive(d.f)
	if err == 0 {
		return nil
	}
	switch err {
	// With O_DIRECTORY, the error for a link is ENOTDIR. Otherwise it is ELOOP
	// on Linux and macOS, and EMLINK on FreeBSD.
	case unix.ELOOP, unix.ENOTDIR, unix.EMLINK:
		if link := d.linkAt(name); link != nil {
			return link
		}
	}
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

// linkAt returns a LinkError if the name is a link, and otherwise nil.
func (d *Dir) linkAt(name string) error {
	if info, err := d.Lstat(name); err != nil || info.Mode.Type() != fs.ModeSymlink {
		return nil
	}
	buf := make([]byte, 1024)
	n, err := unix.Readlinkat(int(d.f.Fd()), name, buf)
	if err != nil {
		n = 0
	}
	return &LinkError{Path: filepath.Join(d.path, name), Target: string(buf[:n])}
}

// Info describes a file, directory or link.
type Info struct {
	Mode    fs.FileMode
	Size    int64
	Inode   uint64
	ModTime time.Time
}

// Lstat describes the file with the name in d. It does not follow a link.
func (d *Dir) Lstat(name string) (Info, error) {
	var s unix.Stat_t
	err := d.do("stat", name, func(fd int) error { return unix.Fstatat(fd, name, &s, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return Info{}, err
	}
	return infoOf(&s), nil
}

// Fstat describes an open file.
func Fstat(f *os.File) (Info, error) {
	var s unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &s)
	runtime.KeepAlive(f)
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return infoOf(&s), nil
}

func infoOf(s *unix.Stat_t) Info {
	mode := fs.FileMode(s.Mode & 0o777)
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular // a pipe, a socket or a device
	}
	return Info{Mode: mode, Size: s.Size, Inode: uint64(s.Ino), ModTime: time.Unix(s.Mtim.Unix())}
}

// Regular describes the regular file with the name. It returns a LinkError for
// a link, and fs.ErrNotExist for anything else that is not a regular file.
func (d *Dir) Regular(name string) (Info, error) {
	info, err := d.Lstat(name)
	switch {
	case err != nil:
		return Info{}, err
	case info.Mode.Type() == fs.ModeSymlink:
		return Info{}, d.linkAt(name)
	case !info.Mode.IsRegular():
		return Info{}, &fs.PathError{Op: "open", Path: filepath.Join(d.path, name), Err: fs.ErrNotExist}
	}
	return info, nil
}

// Names returns the entries of d with their types, in no particular order. It
// must not be called concurrently.
func (d *Dir) Names() ([]fs.DirEntry, error) {
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return d.f.ReadDir(-1)
}

// Rename moves a file of d to another directory, and replaces a file with the
// new name there. It replaces a link, not the link's target.
func (d *Dir) Rename(name string, to *Dir, newName string) error {
	defer runtime.KeepAlive(to.f)
	return d.do("rename", name, func(fd int) error { return unix.Renameat(fd, name, int(to.f.Fd()), newName) })
}

// Link creates a second name for a file of d. The name must not exist.
func (d *Dir) Link(name string, to *Dir, newName string) error {
	defer runtime.KeepAlive(to.f)
	return d.do("link", name, func(fd int) error { return unix.Linkat(fd, name, int(to.f.Fd()), newName, 0) })
}

// SetModTime sets the access and modification times of a file.
func (d *Dir) SetModTime(name string, t time.Time) error {
	both := []unix.Timespec{unix.NsecToTimespec(t.UnixNano()), unix.NsecToTimespec(t.UnixNano())}
	return d.do("chtimes", name, func(fd int) error { return unix.UtimesNanoAt(fd, name, both, unix.AT_SYMLINK_NOFOLLOW) })
}

// Remove removes a file. It removes a link, not the link's target.
func (d *Dir) Remove(name string) error {
	return d.do("remove", name, func(fd int) error { return unix.Unlinkat(fd, name, 0) })
}

// RemoveDir removes an empty directory.
func (d *Dir) RemoveDir(name string) error {
	return d.do("remove", name, func(fd int) error { return unix.Unlinkat(fd, name, unix.AT_REMOVEDIR) })
}

// RemoveAll removes the directory at rel with everything in it. It removes
// links in the directory, not their targets. It returns a LinkError if rel is
// or contains a link. A missing directory is not an error.
func (d *Dir) RemoveAll(rel string) error {
	parent, err := d.Open(path.Dir(rel))
	if err == nil {
		defer parent.Close()
		err = parent.removeAll(path.Base(rel))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *Dir) removeAll(name string) error {
	dir, err := d.open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, err := dir.Names()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			err = dir.removeAll(e.Name())
		} else {
			err = dir.Remove(e.Name())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return d.RemoveDir(name)
}

// Sync ensures that the creation, renaming and removal of files in d survives a
// power failure. It is not an error if a network file system does not support
// that.
func (d *Dir) Sync() error {
	err := d.f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// TryLock takes the operating system's lock on the file with the name, and
// creates the file if it is missing. It returns nil if another process holds
// the lock. The lock ends when the file is closed or the process ends.
func (d *Dir) TryLock(name string) (*os.File, error) {
	f, err := d.OpenFile(name, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.EINTR
	for err == unix.EINTR {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
}
