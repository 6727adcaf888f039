package main

import (
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/config"
)

// newLogger writes the log to standard error, in the format and from the level that the settings say. Out is standard output,
// for records, which are lines for programs in any case. Both take one write at a time, so that no line is torn where they are
// the same file.
func newLogger(cfg *config.Config, stdout, stderr io.Writer) (log *zap.Logger, out io.Writer, err error) {
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
	out = locked
	if !sameFile(stdout, stderr) { // who reads the records slowly must not hold up the log
		out = zapcore.Lock(zapcore.AddSync(stdout))
	}
	return zap.New(zapcore.NewCore(encoder, locked, level)), out, nil
}

func sameFile(a, b io.Writer) bool {
	if a == b {
		return true
	}
	one, isFile := a.(*os.File)
	other, isToo := b.(*os.File)
	if !isFile || !isToo {
		return false
	}
	first, err := one.Stat()
	second, err2 := other.Stat()
	return err == nil && err2 == nil && os.SameFile(first, second)
}
