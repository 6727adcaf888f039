package clock

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// mark is what is kept of policy time over a restart. Its file is a line of JSON and a line with the SHA-256 of the former.
type mark struct {
	Version int           `json:"version"`
	Time    time.Time     `json:"mark"`    // policy time is never before it
	Vouched bool          `json:"vouched"` // somebody has vouched for it
	Boot    string        `json:"boot"`    // the run of the machine in which it was written; empty: unknown
	Elapsed time.Duration `json:"elapsed"` // of that run, in nanoseconds
}

const (
	markVersion = 1
	maxMark     = 4 << 10 // bytes of the file
)

// at is what the mark makes due. The time since it was written counts if the machine was not started anew.
func (m *mark) at(boot string, elapsed time.Duration) time.Time {
	if m.Boot == "" || m.Boot != boot || elapsed < m.Elapsed {
		return clamp(m.Time)
	}
	return clamp(m.Time.Add(elapsed - m.Elapsed))
}

func (m *mark) encode() ([]byte, error) {
	line, err := json.Marshal(m)
	return sealMark(line), err
}

// sealMark adds the checksum of a line.
func sealMark(line []byte) []byte {
	return fmt.Appendf(nil, "%s\nsha256 %x\n", line, sha256.Sum256(line))
}

func decodeMark(file []byte) (*mark, error) {
	line, _, _ := bytes.Cut(file, []byte("\n"))
	if !bytes.Equal(file, sealMark(line)) {
		return nil, errors.New("its checksum is wrong")
	}
	m := new(mark)
	if err := json.Unmarshal(line, m); err != nil {
		return nil, err
	}
	if m.Version != markVersion {
		return nil, fmt.Errorf("its version is %d, and this program knows %d", m.Version, markVersion)
	}
	if m.Elapsed < 0 {
		return nil, errors.New("its elapsed time is negative")
	}
	return m, nil
}

// loadMark reads a mark. It is nil where there is none; damage tells that there is one that makes no sense.
func loadMark(name string) (m *mark, damage, err error) {
	if name == "" {
		return nil, nil, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	file, err := io.ReadAll(io.LimitReader(f, maxMark))
	if err != nil {
		return nil, nil, err
	}
	m, damage = decodeMark(file)
	return m, damage, nil
}

// writeMark writes a mark in one step, and to the disk: a power failure leaves the old one or the new one.
func writeMark(name string, m *mark) error {
	file, err := m.encode()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".clock-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already if it was renamed
	_, err = tmp.Write(file)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(name)); err == nil { // so that it lasts; some systems cannot
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}
