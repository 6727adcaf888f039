package export

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy/instant"
)

// Formats are the words for what [Write] can write.
var Formats = []string{"adguard", "dnsmasq", "rpz", "squid", "nft", "hosts"}

// MediaType is that of every format.
const MediaType = "text/plain; charset=utf-8"

// maxTold is how many lines of what a format cannot express stand in its header.
const maxTold = 200

// writer writes one format. Entries come by depth, and then by name.
type writer interface {
	comment() string                             // what a line of comment begins with
	begin(w io.Writer, r *Result)                // behind the header
	entry(w io.Writer, e *Entry) (cannot string) // tells what it could not express
	end(w io.Writer, r *Result)
}

// Write writes a result in a format, one of Formats. It returns all that the format could not express, which also stands in the
// header, up to a number of lines.
func Write(out io.Writer, format string, r *Result) (cannot []string, err error) {
	f := formats[format]()
	var body strings.Builder
	cannot = append(cannot, r.Cannot...)
	f.begin(&body, r)
	for i := range r.Entries {
		if more := f.entry(&body, &r.Entries[i]); more != "" {
			cannot = append(cannot, more)
		}
	}
	f.end(&body, r)
	b := bufio.NewWriter(out)
	for _, line := range header(r, format, cannot) {
		_, _ = fmt.Fprintf(b, "%s %s\n", f.comment(), line)
	}
	_, _ = b.WriteString(body.String())
	return cannot, b.Flush()
}

// header tells what the file is, until when it holds, and what is missing.
func header(r *Result, format string, cannot []string) []string {
	since, until := "always", "there is no change ahead"
	if !r.Since.IsZero() {
		since = instant.Format(r.Since)
	}
	if !r.Until.IsZero() {
		until = "the next change is at " + instant.Format(r.Until) + ": fetch it again then"
	}
	lines := []string{
		"What a gracegate policy blocks by name, for " + format + ". It holds for " + oneLine(r.For) + ".",
		"Policy revision " + r.Revision + ". In force since " + since + "; " + until + ".",
	}
	if len(cannot) == 0 {
		return append(lines, "Everything is expressed.")
	}
	lines = append(lines, fmt.Sprintf("Not expressed here: %d.", len(cannot)))
	for _, c := range cannot[:min(len(cannot), maxTold)] {
		lines = append(lines, "  "+oneLine(c))
	}
	if more := len(cannot) - maxTold; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return lines
}

// oneLine keeps what somebody named from beginning a line of its own.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// serial is the number of a zone: it grows with each change of the policy's time (RFC 1982 wraps in 2106).
func serial(since time.Time) uint32 {
	if since.IsZero() || since.Unix() < 1 {
		return 1
	}
	return uint32(since.Unix()) //nolint:gosec // G115: it wraps as serial numbers do
}
