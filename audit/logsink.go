package audit

import (
	"io"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// EncoderConfig is how zap's JSON encoder is set up for a log in the names of the Elastic Common Schema: @timestamp in
// UTC, log.level, message, log.logger, error.stack_trace.
func EncoderConfig() zapcore.EncoderConfig {
	return zapcore.EncoderConfig{
		TimeKey: "@timestamp",
		EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
			enc.AppendString(t.UTC().Format(time.RFC3339Nano))
		},
		LevelKey:       "log.level",
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		MessageKey:     "message",
		NameKey:        "log.logger",
		StacktraceKey:  "error.stack_trace",
		EncodeDuration: zapcore.NanosDurationEncoder,
	}
}

// maxWrite is about how many bytes go into one write.
const maxWrite = 64 << 10

// Encoder writes records as lines of JSON. The zero value is one that adds nothing to them, and is slower. It is safe for concurrent
// use.
type Encoder struct {
	always  string // members of every line, each behind its comma
	decided *decided
}

// NewEncoder returns an encoder whose lines have these members besides those of the record.
func NewEncoder(always ...zap.Field) Encoder { return Encoder{members(always), newDecided()} }

// Append appends the line of a record, with its line feed. The line looks as one that zap's JSON encoder writes with
// [EncoderConfig]. It is JSON in ASCII without control characters. Each text that others chose is cut at 2 KiB, a list at 16
// texts, so that the line is at most [MaxLine] long.
//
// Of a URL, user information, query and fragment are left out; gracegate.query_dropped tells that there was a query.
// Event.outcome is failure for what was refused or cut.
//
// The record's lists, and what is in them, must not change from now on.
func (e Encoder) Append(to []byte, r *Record) []byte {
	if r.Turn != nil {
		return e.appendTurn(to, r)
	}
	return e.appendFlow(to, r)
}

// MaxLine is the most that a line of a record holds.
const MaxLine = 128 << 10

// lineSink has the lines in one buffer, which is at most one line longer than maxWrite.
type lineSink struct {
	out    io.Writer
	append func(to []byte, r *Record) []byte // appends the line of a record with its line feed, or nothing where it has none
	lines  []byte
	ends   []int // where the line of each record ends
	torn   bool  // what was written last broke off within a line
}

// NewLogSink returns a sink that writes one line a record to out, as many lines at a time as are there, by an encoder with the
// members always. Whoever else writes to out must write whole lines too, and out keeps the writes apart.
func NewLogSink(out io.Writer, always ...zap.Field) Sink {
	return &lineSink{out: out, append: NewEncoder(always...).Append}
}

// members are fields as they stand within a line, each behind its comma.
func members(fields []zap.Field) string {
	if len(fields) == 0 {
		return ""
	}
	cfg := EncoderConfig()
	cfg.LevelKey, cfg.MessageKey, cfg.SkipLineEnding = "", "", true
	object, err := zapcore.NewJSONEncoder(cfg).EncodeEntry(zapcore.Entry{}, fields)
	if err != nil {
		panic(err) // it returns none
	}
	return "," + strings.TrimSuffix(strings.TrimPrefix(object.String(), "{"), "}")
}

// Write writes the records, at most one line each.
func (s *lineSink) Write(records []*Record) (written int, err error) {
	for len(records) > 0 {
		s.take(records)
		n, err := s.flush()
		written += n
		if err != nil {
			return written, err
		}
		records = records[n:]
	}
	return written, nil
}

// take puts the lines of the first records into the buffer, as many as go into one write.
func (s *lineSink) take(records []*Record) {
	s.lines, s.ends = s.lines[:0], s.ends[:0]
	if s.torn { // the piece is a line of its own, and spoils none
		s.lines = append(s.lines, '\n')
	}
	for _, r := range records {
		s.lines = s.append(s.lines, r)
		s.ends = append(s.ends, len(s.lines))
		if len(s.lines) >= maxWrite {
			break
		}
	}
}

// flush writes the buffer, and tells of how many of the first records the lines are written whole. The line within which a write broke
// off is lost: what was left of it could only follow after the lines that others write to the same output. A line that
// lacks nothing but its line feed gets that from the next write.
func (s *lineSink) flush() (whole int, err error) {
	if len(s.lines) == 0 {
		return len(s.ends), nil
	}
	n, err := s.out.Write(s.lines)
	if n < len(s.lines) && err == nil {
		err = io.ErrShortWrite
	}
	if n > 0 {
		s.torn = s.lines[n-1] != '\n'
	}
	for whole < len(s.ends) && s.ends[whole]-1 <= n {
		whole++
	}
	if whole == len(s.ends) {
		return whole, nil
	}
	return whole, err
}
