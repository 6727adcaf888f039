package journal

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
)

// Line is a record as it was written.
type Line struct {
	Sequence uint64
	Text     []byte // without its line feed; valid until the next
}

// Read goes through the records of a directory from a number on, or from the first that is there, if that is later. It may be read
// while records are written: it ends behind the last whole one.
func Read(dir string, from uint64) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		list, err := segments(dir)
		if err != nil {
			yield(Line{}, err)
			return
		}
		for i, s := range list {
			if i+1 < len(list) && list[i+1].first <= from {
				continue
			}
			if !s.read(from, yield) {
				return
			}
		}
	}
}

func (s segment) read(from uint64, yield func(Line, error) bool) (goesOn bool) {
	lines, err := s.scan()
	if errors.Is(err, fs.ErrNotExist) {
		return true // it was removed by its age meanwhile
	}
	if err != nil {
		return yield(Line{}, err)
	}
	defer lines.close()
	for n := s.first; ; n++ {
		switch err := lines.next(); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			yield(Line{}, err)
			return false
		case n >= from && !yield(Line{n, lines.line}, nil):
			return false
		}
	}
}

// Exists tells by its error that there is no journal in a directory, or that it cannot be read. One without its key is one.
func Exists(dir string) error {
	list, err := segments(dir)
	if err == nil && len(list) == 0 {
		_, err = PublicKey(dir)
	}
	return err
}

// End is how many records a directory holds, those that were removed by their age counted in.
func End(dir string) (uint64, error) {
	list, err := segments(dir)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	last := list[len(list)-1]
	end := last.first
	for _, err := range Read(dir, end) {
		if err != nil {
			return 0, err
		}
		end++
	}
	return end, nil
}

// Latest is the last checkpoint of a directory.
func Latest(dir string) (*Checkpoint, error) {
	key, err := PublicKey(dir)
	if err != nil {
		return nil, err
	}
	list, _, err := readCheckpoints(filepath.Join(dir, checkpointsName), key)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("there is no checkpoint yet")
	}
	return latestOf(list), nil
}
