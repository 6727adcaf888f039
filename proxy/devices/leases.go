package devices

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	maxFile   = 64 << 20 // bytes of a file
	maxLine   = 16 << 10 // bytes of a line
	maxLeases = 1 << 17  // addresses in all files together

	lookEvery = 2 * time.Second // whether a file changed
	settling  = time.Second     // a file that changed as lately may be half written
	share     = 50              // reading takes at most one part in so many of the time
)

// leaseReader reads the lease files. It is for one goroutine at a time.
type leaseReader struct {
	log   *zap.Logger
	files []string
	print string // the files as they were read
	took  time.Duration

	failed   bool              // a file is there and could not be read, which may change without a trace
	problems map[string]string // of which files the log has told, and what
	told     bool              // that lines were left out
}

func newLeaseReader(files []string, log *zap.Logger) *leaseReader {
	return &leaseReader{log: log, files: files, problems: make(map[string]string)}
}

// pause is how long to wait until the files are looked at again: longer if there is much in them to read.
func (r *leaseReader) pause() time.Duration { return max(lookEvery, share*r.took) }

// changed tells whether the files are others than those that were read, or could not be read.
func (r *leaseReader) changed() bool { return r.failed || r.fingerprint() != r.print }

// fingerprint tells two states of the files apart. One that has just been written will differ from itself later: it is then read
// once more, since it may have been half written, or written again in the same instant of its file system's clock.
func (r *leaseReader) fingerprint() string {
	var b strings.Builder
	now := time.Now()
	for _, file := range r.files {
		for _, name := range pieces(file) {
			if info, err := os.Stat(name); err == nil {
				changed := info.ModTime()
				fmt.Fprintf(&b, "%s %d %d %t\n", name, info.Size(), changed.UnixNano(), now.Sub(changed) < settling)
			}
		}
	}
	return b.String()
}

// pieces are the files in which the leases of one may be, in the order in which they are read. Kea, which only ever appends, has its
// file cleaned up from time to time: it renames the file to NAME.1, begins a new one, and has kea-lfc make NAME.completed of NAME.2
// and NAME.1, which becomes NAME.2 once these are gone. Of what the three say of an address the last word is that of NAME.1.
func pieces(file string) []string {
	return []string{file + ".completed", file + ".2", file + ".1", file}
}

// read reads all files, and once more if they were renamed or written meanwhile. What cannot be read is left out, and logged if
// that is new.
func (r *leaseReader) read() *book {
	const tries = 3
	began := time.Now()
	var in *intake
	for range tries {
		in = &intake{now: began.Unix(), leases: make(map[netip.Addr]lease)}
		r.print, r.failed = r.fingerprint(), false
		for _, file := range r.files {
			r.readFile(in, file)
		}
		if r.fingerprint() == r.print {
			break
		}
	}
	r.tell(in)
	r.took = time.Since(began)
	return newBook(in.leases)
}

func (r *leaseReader) readFile(in *intake, file string) {
	for _, name := range pieces(file) {
		err := in.readPiece(name, name == file)
		gone := errors.Is(err, os.ErrNotExist)
		r.failed = r.failed || err != nil && !gone
		if !gone || name == file { // the others are there now and then
			r.tellFile(name, err)
		}
	}
}

// tellFile logs that a file cannot be read, or can again, once.
func (r *leaseReader) tellFile(name string, err error) {
	was, is := r.problems[name], ""
	if err != nil {
		is = err.Error()
	}
	switch {
	case is == was:
	case is != "":
		r.log.Warn("a lease file cannot be read: its leases are not known", zap.String("file", name), zap.String("error", is),
			zap.String("hint", hintOf(err)))
	default:
		r.log.Info("the lease file can be read again", zap.String("file", name))
	}
	r.problems[name] = is
}

func hintOf(err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return "the user of this process must be able to read it: SupplementaryGroups= of a service adds it to a group"
	case errors.Is(err, os.ErrNotExist):
		return "it is read once it is there; devices.leases names it"
	}
	return "devices.leases names files of dnsmasq and of Kea's memfile backend"
}

// tell logs what was left out of the files, at the first time.
func (r *leaseReader) tell(in *intake) {
	out := in.skipped > 0 || in.tooMany > 0
	if out && !r.told {
		r.log.Warn("lease files hold what cannot be read, or more than is kept", zap.Int("lines_skipped", in.skipped), zap.String("first", in.first),
			zap.Int("leases_over_the_limit", in.tooMany), zap.Int("limit", maxLeases), zap.Int("leases", len(in.leases)))
	}
	r.told = out
}

// intake is what was read of the files so far.
type intake struct {
	now     int64
	leases  map[netip.Addr]lease
	skipped int    // lines that are none of a lease
	first   string // where the first of them stands
	tooMany int    // leases beyond maxLeases
}

// readPiece reads a file. Own tells the file that was named from what else may belong to it: of that only Kea's counts.
func (in *intake) readPiece(name string, own bool) error {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() { // opening a pipe would wait for its other end
		err = errors.New("not a regular file")
	}
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%d bytes are more than the %d that are read", info.Size(), maxFile)
	}
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return in.readLines(io.LimitReader(f, maxFile), name, own)
}

// readLines reads a file, whose first line tells its format.
func (in *intake) readLines(from io.Reader, name string, own bool) error {
	buf := bufio.NewReaderSize(from, maxLine)
	take := in.dnsmasqLine
	for n := 1; ; n++ {
		line, whole, err := nextLine(buf)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		text := strings.TrimSpace(line)
		kea := n == 1 && in.keaHeader(text, &take)
		switch {
		case n == 1 && !kea && !own:
			return nil
		case kea, text == "" && whole, whole && take(text):
		case !ended: // where it ends, the last line may still be being written
			in.skip(name, n)
		}
		if ended {
			return nil
		}
	}
}

// nextLine returns a line, without its end where that is missing. Of one that is too long it returns only that it is not whole.
func nextLine(r *bufio.Reader) (line string, whole bool, err error) {
	b, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return string(b), true, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	return "", false, err
}

func (in *intake) skip(name string, line int) {
	if in.skipped == 0 {
		in.first = fmt.Sprintf("%s:%d", name, line)
	}
	in.skipped++
}

// add notes a lease in place of what was known of its address. One that is over leaves nothing.
func (in *intake) add(addr netip.Addr, l lease) {
	if l.until <= in.now {
		delete(in.leases, addr)
		return
	}
	if _, known := in.leases[addr]; !known && len(in.leases) >= maxLeases {
		in.tooMany++
		return
	}
	in.leases[addr] = l
}
