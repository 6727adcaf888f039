package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// resolve returns the file that a name leads to over symbolic links. It may be absent, but its directory may not.
func resolve(name string) (string, error) {
	target, err := filepath.EvalSymlinks(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return target, err
	}
	if _, err := os.Lstat(name); err == nil {
		return "", fmt.Errorf("%s is a symbolic link that leads nowhere", name)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	return filepath.Join(dir, filepath.Base(name)), err
}

// replaceFile gives the file that a name leads to another text in one step: who reads it meanwhile gets the one or the other. Mode
// and owner stay, the owner where this user may give files away. If the text is no longer what it was, nothing is written; a
// was of nil says that there was no file.
func replaceFile(name string, was, text []byte) error {
	target, err := resolve(name)
	if err != nil {
		return failed(err, "")
	}
	var info fs.FileInfo
	if was != nil {
		if info, err = mayWrite(target); err != nil {
			return failed(err, "nothing was changed")
		}
	}
	perm := fs.FileMode(0o644) // as the policy file, which others may read
	if info != nil {
		perm = info.Mode().Perm()
	}
	tmp, err := writeBeside(target, info, perm, contents(text))
	if err != nil {
		return failed(fmt.Errorf("writing beside %s: %w", name, cause(err)), "the directory of the file must be writable: the file is replaced as a whole")
	}
	defer func() { _ = os.Remove(tmp) }() // gone already if it was renamed
	is, err := os.ReadFile(target)
	switch {
	case was == nil && errors.Is(err, fs.ErrNotExist):
	case err != nil && was != nil:
		return failed(err, "nothing was changed")
	case was == nil || !bytes.Equal(was, is):
		return failed(fmt.Errorf("%s was changed meanwhile by another", name), "nothing was changed; run the command again")
	}
	return failed(putInPlace(tmp, target), "the file is replaced as a whole, so it must not be a mount point of its own")
}

// putFile writes a file in one step: who reads it meanwhile gets the old one or the new one. The new one has the owner of another file, if
// that is not nil, and a mode.
func putFile(name string, like fs.FileInfo, perm fs.FileMode, write func(io.Writer) error) error {
	tmp, err := writeBeside(name, like, perm, write)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }() // gone already if it was renamed
	return putInPlace(tmp, name)
}

// putInPlace gives a file the name of another, which it replaces.
func putInPlace(tmp, name string) error {
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(name)); err == nil { // so that it lasts; some systems cannot
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// mayWrite refuses a file that is not to be written to, although it could be replaced.
func mayWrite(target string) (fs.FileInfo, error) {
	info, err := os.Stat(target)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", target)
	}
	f, err := os.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return info, f.Close()
}

// writeBeside writes a file to the disk with the owner of another and a mode; without another, with the owner that new files get, and
// the mode as far as the umask leaves it.
func writeBeside(target string, like fs.FileInfo, perm fs.FileMode, write func(io.Writer) error) (name string, err error) {
	name = filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+"."+strconv.FormatUint(rand.Uint64(), 36)) //nolint:gosec // G404: a name, no secret
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return "", err
	}
	if like != nil {
		keepOwner(f, like)
		err = f.Chmod(perm)
	}
	if err == nil {
		err = write(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(name)
		return "", err
	}
	return name, nil
}
