package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/DeRuina/timberjack"
)

// Rotation bounds a file of records and those that it was renamed to.
type Rotation struct {
	Size int64         // that the file does not exceed, rounded up to whole MiB; at least 1
	Keep int           // renamed files that are kept; 0 is no limit
	Age  time.Duration // of renamed files that are kept, rounded up to whole days; 0 is no limit
}

// File is a file that is renamed when it is full, to a name with the time in UTC behind it, and begun anew. Each write goes
// into one file as a whole. Its methods may be called from any goroutine.
type File struct {
	name     string
	rotation Rotation

	mu   sync.Mutex
	file *timberjack.Logger
}

// OpenFile opens a regular file to append to, or makes it, mode 0600, with the directories that it needs, mode 0700. The mode
// of one that exists is that of those that come after it.
func OpenFile(name string, r Rotation) (*File, error) {
	f := &File{name: name, rotation: r}
	if err := f.Reopen(); err != nil {
		return nil, err
	}
	return f, nil
}

// Write appends to the file, or to the next one. What is written at once is at most the size of a file.
func (f *File) Write(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(p)
}

// Reopen opens the file anew by its name, for who renamed it. If it cannot be, what was written to stays in use.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := makeFile(f.name); err != nil {
		return err
	}
	const mib, day = 1 << 20, 24 * time.Hour
	before := f.file
	f.file = &timberjack.Logger{
		Filename: f.name, MaxSize: int((f.rotation.Size + mib - 1) / mib), MaxBackups: f.rotation.Keep,
		MaxAge: int((f.rotation.Age + day - 1) / day), Compression: "none",
	}
	if before == nil {
		return nil
	}
	return before.Close()
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

// makeFile makes a file that only its owner can read, unless there is one that can be written to.
func makeFile(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular(): // a device or a pipe cannot be renamed and begun anew
		return fmt.Errorf("%s is not a regular file", name)
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}
