package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gracegate/gracegate/audit"
)

const (
	linesSuffix  = ".jsonl"
	leavesSuffix = ".leaves"
)

// segment is a file of lines with its file of leaves.
type segment struct {
	dir   string
	first uint64 // the number of its first record
}

func (s segment) linesName() string { return filepath.Join(s.dir, segmentName(s.first)+linesSuffix) }

func (s segment) leavesName() string { return filepath.Join(s.dir, segmentName(s.first)+leavesSuffix) }

func segmentName(first uint64) string { return fmt.Sprintf("%020d", first) }

// numberOf reads the number in the name of a file of a segment.
func numberOf(name, suffix string) (first uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 62)
	return first, err == nil
}

// segments lists those of a directory, in order.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, e := range entries {
		if first, ok := numberOf(e.Name(), linesSuffix); ok {
			list = append(list, segment{dir, first})
		}
	}
	slices.SortFunc(list, func(a, b segment) int { return cmp.Compare(a.first, b.first) })
	return list, nil
}

// scanner goes through the lines of a segment.
type scanner struct {
	file *os.File
	in   *bufio.Reader
	size int64 // of all whole lines so far
	torn int64 // bytes behind them that are no whole line

	line []byte // the last one, without its line feed; valid until the next
}

// longestLine is more than any record is long.
const longestLine = 2 * audit.MaxLine

// errLine is a line that no record has: it is longer than any.
var errLine = errors.New("a line is longer than any record")

func (s segment) scan() (*scanner, error) {
	if info, err := os.Stat(s.linesName()); err == nil && !info.Mode().IsRegular() { // it might have no end
		return nil, fmt.Errorf("%s is not a regular file", s.linesName())
	}
	f, err := os.Open(s.linesName())
	if err != nil {
		return nil, err
	}
	return &scanner{file: f, in: bufio.NewReaderSize(f, longestLine)}, nil
}

// next reads the next whole line; io.EOF is behind the last.
func (c *scanner) next() error {
	line, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return c.endless(int64(len(line)))
	case errors.Is(err, io.EOF):
		c.torn = int64(len(line))
		return io.EOF
	case err != nil:
		return err
	}
	c.size += int64(len(line))
	c.line = line[:len(line)-1]
	return nil
}

// endless judges what is longer than any line: without a line feed it is no line but the end of the file, where a power failure can
// leave any number of zeros.
func (c *scanner) endless(read int64) error {
	for {
		more, err := c.in.ReadSlice('\n')
		read += int64(len(more))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			c.torn = read
			return io.EOF
		case err != nil:
			return err
		default:
			return errLine
		}
	}
}

func (c *scanner) close() { _ = c.file.Close() }

// frontier reads that at the start of a segment.
func (s segment) frontier() (frontier, error) {
	f, err := os.Open(s.leavesName())
	if err != nil {
		return frontier{}, err
	}
	defer f.Close()
	return readFrontier(f, s.first)
}

func asHashes(b []byte) []tlog.Hash {
	list := make([]tlog.Hash, 0, len(b)/tlog.HashSize)
	for chunk := range slices.Chunk(b[:len(b)/tlog.HashSize*tlog.HashSize], tlog.HashSize) {
		list = append(list, tlog.Hash(chunk))
	}
	return list
}

// allLeaves reads every leaf of a segment.
func (s segment) allLeaves() ([]tlog.Hash, error) {
	b, err := os.ReadFile(s.leavesName())
	if err != nil {
		return nil, err
	}
	return asHashes(b[min(frontierSize(s.first), int64(len(b))):]), nil
}

// lastLine reads the last whole line of a segment; it is empty if there is none.
func (s segment) lastLine() ([]byte, error) {
	f, err := os.Open(s.linesName())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(info.Size()-2*longestLine, 0)
	tail, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return nil, err
	}
	tail = tail[:bytes.LastIndexByte(tail, '\n')+1]
	tail = bytes.TrimSuffix(tail, []byte("\n"))
	return tail[bytes.LastIndexByte(tail, '\n')+1:], nil
}
