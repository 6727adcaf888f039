package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
)

// maxDepth bounds how far below a catalogue's directory anything is looked at: a symbolic link may lead back up.
const maxDepth = 4

// Fingerprint tells two states of dir apart without reading its files: by the names and the stamps of files, all as symbolic
// links lead to them. So a rename, a swapped link and an edit in place are seen. What Load passes over does not count. An
// empty dir, which stands for none, has an empty fingerprint.
func Fingerprint(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	h := sha256.New()
	if err := stampTree(h, dir, maxDepth); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Stamp tells two states of one file apart without reading it: by its size, its mode, its time of change and, where there
// are such, its inode.
func Stamp(info fs.FileInfo) string {
	return fmt.Sprint(info.Size(), info.Mode(), info.ModTime().UnixNano(), inode(info))
}

func stampTree(h hash.Hash, dir string, depth int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	for _, e := range entries {
		if leftBehind(e.Name()) {
			continue
		}
		name := filepath.Join(dir, e.Name())
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile, or a link to nowhere
			h.Write(fmt.Appendf(nil, "%q absent\n", e.Name()))
			continue
		case err != nil:
			return fmt.Errorf("catalogue: %w", err)
		case !info.IsDir():
			h.Write(fmt.Appendf(nil, "%q %s\n", e.Name(), Stamp(info)))
			continue
		}
		h.Write(fmt.Appendf(nil, "%q {\n", e.Name()))
		if depth > 0 {
			if err := stampTree(h, name, depth-1); err != nil {
				return err
			}
		}
		h.Write([]byte("}\n"))
	}
	return nil
}
