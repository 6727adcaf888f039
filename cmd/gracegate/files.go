package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readAtMost reads a file up to one byte beyond a bound: who takes the text says that it is too long.
func readAtMost(name string, bound int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, bound+1))
}

// output is where a command writes what a flag names a file for.
type output struct {
	flag, name string
	private    bool // only the owner may read the file: it tells who asked for what
}

// toStdout tells whether that is standard output.
func (o output) toStdout() bool { return o.name == "" || o.name == "-" }

// write writes to standard output or to the file, which is there whole or not at all.
func (o output) write(stdout io.Writer, write func(io.Writer) error) error {
	if o.toStdout() {
		return failed(buffered(stdout, write), "")
	}
	err := o.writeFile(write)
	if at, ok := errors.AsType[*fs.PathError](err); ok { // it names the file that is written beside
		err = fmt.Errorf("%s: %w", o.name, at.Err)
	}
	return failed(err, "--"+o.flag+" names a file that can be written")
}

func (o output) writeFile(write func(io.Writer) error) error {
	target, err := resolve(o.name)
	if err != nil {
		return err
	}
	like, err := os.Stat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		like = nil
	case err != nil:
		return err
	case !like.Mode().IsRegular():
		return invalid(fmt.Errorf("%s is no regular file", o.name), "--"+o.flag+" names a file that can be written")
	}
	if like != nil { // it could be replaced all the same
		if _, err := mayWrite(target); err != nil {
			return err
		}
	}
	perm := fs.FileMode(0o644)
	switch {
	case o.private:
		perm, like = 0o600, nil
	case like != nil:
		perm = like.Mode().Perm()
	}
	// Who stops it half-way must not be left with half of a file.
	ctx, release := untilStopped(context.Background())
	defer release()
	context.AfterFunc(ctx, release)
	return putFile(target, like, perm, func(w io.Writer) error {
		return buffered(writerFunc(func(b []byte) (int, error) {
			if ctx.Err() != nil {
				return 0, errors.New("stopped before the end")
			}
			return w.Write(b)
		}), write)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func buffered(w io.Writer, write func(io.Writer) error) error {
	b := bufio.NewWriter(w)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}

// contents writes what is there already.
func contents(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}
