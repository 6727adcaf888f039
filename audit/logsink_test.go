package audit

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// output takes as many bytes of each write as it is told, and fails when that is not all; then it takes everything.
type output struct {
	bytes.Buffer
	takes  []int
	writes []int // how long each was
	err    error
}

func (o *output) Write(p []byte) (int, error) {
	o.writes = append(o.writes, len(p))
	if len(o.takes) == 0 {
		return o.Buffer.Write(p)
	}
	n := min(o.takes[0], len(p))
	o.takes = o.takes[1:]
	o.Buffer.Write(p[:n])
	return n, o.err
}

func recordsOf(users ...string) []*Record {
	var list []*Record
	for _, user := range users {
		list = append(list, &Record{Event: End, User: user})
	}
	return list
}

// lineOf is the length of a line of recordsOf with a name of one letter.
func lineOf(t *testing.T) int { t.Helper(); return len(write(t, &Record{Event: End, User: "a"})) }

// whole lists the users of the lines that can be read, and counts those that cannot.
func whole(t *testing.T, out string) (users []string, pieces int) {
	t.Helper()
	for l := range strings.Lines(out) {
		_, rest, found := strings.Cut(l, `"user.name":"`)
		if !strings.HasSuffix(l, "}\n") || !found {
			pieces++
			continue
		}
		checkLine(t, &Record{}, l)
		users = append(users, rest[:1])
	}
	return users, pieces
}

func TestSinkTellsErrors(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	n, err := NewLogSink(&output{takes: []int{0}, err: full}).Write(recordsOf("a"))
	if !errors.Is(err, full) || n != 0 {
		t.Errorf("Write to a full disk: %d, %v, want 0, %v", n, err, full)
	}
}

// What the logger says of itself is on every line, so that nobody takes a rehearsal for the real thing.
func TestSinkKeepsFieldsOfLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	sink := NewLogSink(&out, zap.Bool("gracegate.simulated_clock", true), zap.String("gracegate.clock", "simulated"))
	if _, err := sink.Write(recordsOf("a", "b")); err != nil {
		t.Fatal(err)
	}
	want := `"message":"cut a flow without a destination","gracegate.simulated_clock":true,"gracegate.clock":"simulated","ecs.version":`
	if strings.Count(out.String(), want) != 2 {
		t.Errorf("the lines are %s", &out)
	}
}

func TestSinkWritesManyAtOnce(t *testing.T) {
	t.Parallel()
	var out output
	var users []string
	for i := range 400 {
		users = append(users, string(rune('a'+i%26)))
	}
	n, err := NewLogSink(&out).Write(recordsOf(users...))
	if n != len(users) || err != nil {
		t.Fatalf("%d, %v, want %d", n, err, len(users))
	}
	if got, pieces := whole(t, out.String()); !slices.Equal(got, users) || pieces != 0 {
		t.Errorf("written %v and %d pieces, want %v", got, pieces, users)
	}
	if len(out.writes) < 2 || slices.Max(out.writes) >= maxWrite+lineOf(t) {
		t.Errorf("writes of %v bytes, want some of about %d", out.writes, maxWrite)
	}
}

// A write that stops early leaves the lines that it finished, and one piece at most, on a line of its own.
func TestSinkShortWrites(t *testing.T) {
	t.Parallel()
	one := lineOf(t)
	tests := []struct {
		name   string
		takes  []int
		users  string
		lost   uint64
		pieces int
	}{
		{"nothing", []int{0}, "bcd", 1, 0},
		{"within the first line", []int{1}, "bcd", 1, 1},
		{"within the second line", []int{2*one - 2}, "acd", 1, 1},
		{"before the second line feed", []int{2*one - 1}, "abd", 1, 0},
		{"between two lines", []int{2 * one}, "abd", 1, 0},
		{"within the last line", []int{4*one - 2}, "abc", 1, 1},
		{"before the last line feed", []int{4*one - 1}, "abcd", 0, 0},
		{"twice within a line", []int{one + 1, 5}, "ad", 2, 2},
		{"nothing after a piece", []int{one + 1, 0}, "ad", 2, 1},
		{"all", []int{4 * one}, "abcd", 0, 0},
	}
	for _, tt := range tests {
		for _, err := range []error{errors.New("no space left"), nil} {
			out := &output{takes: tt.takes, err: err}
			if tt.name == "all" {
				out.err = nil
			}
			r := &Recorder{sink: NewLogSink(out)}
			r.write(&batch{records: recordsOf("a", "b", "c", "d")})
			r.write(&batch{records: recordsOf("e")})
			users, pieces := whole(t, out.String())
			if got, want := strings.Join(users, ""), tt.users+"e"; got != want || pieces != tt.pieces {
				t.Errorf("%s, %v: written %s and %d pieces, want %s and %d", tt.name, err, got, pieces, want, tt.pieces)
			}
			if got, want := r.status(), (status{false, tt.lost, 0}); got != want {
				t.Errorf("%s, %v: %+v, want %+v", tt.name, err, got, want)
			}
		}
	}
}

func TestSinkTellsShortWriteWithoutError(t *testing.T) {
	t.Parallel()
	n, err := NewLogSink(&output{takes: []int{lineOf(t) + 1}}).Write(recordsOf("a", "b"))
	if n != 1 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a short write: %d, %v, want 1, %v", n, err, io.ErrShortWrite)
	}
}
