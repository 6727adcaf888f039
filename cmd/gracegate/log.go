package main

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/config"
)

// newLogger writes the log to standard error, in the format and from the level that the settings say. Out is where it writes,
// one write at a time: the records go there too. They are JSON lines in any case, since programs read them.
func newLogger(cfg *config.Config, stderr io.Writer) (log *zap.Logger, out io.Writer, err error) {
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return nil, nil, err
	}
	locked := zapcore.Lock(zapcore.AddSync(stderr))
	encoder := zapcore.NewJSONEncoder(audit.EncoderConfig())
	if cfg.Log.Format == "console" {
		people := audit.EncoderConfig()
		people.EncodeTime, people.EncodeDuration = zapcore.RFC3339TimeEncoder, zapcore.StringDurationEncoder
		encoder = zapcore.NewConsoleEncoder(people)
	}
	return zap.New(zapcore.NewCore(encoder, locked, level)), locked, nil
}
