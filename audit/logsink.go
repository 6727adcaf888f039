package audit

import (
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

type logSink struct{ core zapcore.Core }

// NewLogSink returns a sink that writes one line a record to the output of log, whose encoder is zap's JSON encoder with
// [EncoderConfig]. The line is JSON in ASCII without control characters. Each text that others chose is cut at 2 KiB, a
// list at 16 texts, so that the line is at most 128 KiB.
//
// Of a URL, user information, query and fragment are left out; gracegate.query_dropped tells that there was a query.
// Event.outcome is failure for what was refused or cut. Records are written whatever the level of log, unsampled, and an
// error of its output is an error of the sink.
func NewLogSink(log *zap.Logger) Sink { return logSink{log.Core()} }

// Write writes the record as one line.
func (s logSink) Write(r *Record) error {
	// Straight to the core: Logger.Info drops errors, and would filter by level.
	return s.core.Write(zapcore.Entry{Level: zapcore.InfoLevel, Time: r.Time, Message: message(r)}, line(r))
}
