package main

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/config"
)

// newLoggers write to standard error: the log in the format and from the level that the settings say, and the records, which
// are JSON lines in any case, since programs read them.
func newLoggers(cfg *config.Config, stderr io.Writer) (log, records *zap.Logger, err error) {
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return nil, nil, err
	}
	out := zapcore.Lock(zapcore.AddSync(stderr))
	lines := zapcore.NewJSONEncoder(audit.EncoderConfig())
	encoder := lines.Clone()
	if cfg.Log.Format == "console" {
		people := audit.EncoderConfig()
		people.EncodeTime, people.EncodeDuration = zapcore.RFC3339TimeEncoder, zapcore.StringDurationEncoder
		encoder = zapcore.NewConsoleEncoder(people)
	}
	return zap.New(zapcore.NewCore(encoder, out, level)), zap.New(zapcore.NewCore(lines, out, zap.InfoLevel)), nil
}
