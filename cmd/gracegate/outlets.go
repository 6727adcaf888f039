package main

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/console"
)

// queueSize is how many records may wait for an outlet: all open tunnels may be cut, and recorded, at once.
const queueSize = 1 << 16

// openOutlets opens the places where records go behind the journal: what the settings of audit name. Stdout is standard output; the
// fields always are in every line.
func openOutlets(cfg *config.Config, stdout io.Writer, log *zap.Logger, always []zap.Field) (*audit.Fan, error) {
	jsonLines := func(w io.Writer) audit.Sink { return audit.NewLogSink(w, always...) }
	var outlets []audit.Outlet
	for _, o := range []struct {
		name, file string
		lines      func(io.Writer) audit.Sink
	}{{"file", cfg.Audit.File, jsonLines}, {"squid", cfg.Audit.Squid, audit.NewSquidSink}} {
		switch o.file {
		case "":
		case config.Stdout:
			outlets = append(outlets, audit.Outlet{Name: o.name, Sink: toldOf(o.lines(stdout), tellOf(log, o.name))})
		default:
			file, err := audit.OpenFile(o.file, audit.Rotation{Size: cfg.Audit.RotateSize, Keep: cfg.Audit.RotateKeep, Age: cfg.Audit.RotateAge})
			if err != nil {
				return nil, invalid(fmt.Errorf("audit.%s: %w", o.name, err), "it names a file that can be written, or - for standard output")
			}
			outlets = append(outlets, audit.Outlet{
				Name: o.name, Sink: toldOf(o.lines(file), tellOf(log, o.name)), Closer: file, Reopen: file.Reopen,
			})
		}
	}
	if server := cfg.Audit.Syslog; server != (config.SyslogServer{}) {
		roots, err := readRoots("audit.syslog-ca-file", cfg.Audit.SyslogCAFile)
		if err != nil {
			return nil, err
		}
		name, _ := os.Hostname() // not told if it is not known
		sink := audit.NewSyslogSink(audit.Syslog{
			Network: server.Network, Address: server.Address, Roots: roots, Hostname: name, Tell: tellOf(log, "syslog"),
		}, always...)
		outlets = append(outlets, audit.Outlet{Name: "syslog", Sink: sink, Closer: sink})
	}
	return audit.NewFan(queueSize, outlets...), nil
}

// tellOf logs that records do not reach an outlet, and that they do again.
func tellOf(log *zap.Logger, outlet string) func(error) {
	setting := zap.String("setting", "audit."+outlet)
	return func(err error) {
		if err == nil {
			log.Info("records are written again", setting)
			return
		}
		log.Error("records are not written", setting, zap.Error(err))
	}
}

// toldSink tells when writing begins to fail, and with nil when it works again.
type toldSink struct {
	audit.Sink
	tell   func(error)
	failed bool
}

func toldOf(sink audit.Sink, tell func(error)) audit.Sink { return &toldSink{Sink: sink, tell: tell} }

func (s *toldSink) Write(records []*audit.Record) (written int, err error) {
	written, err = s.Sink.Write(records)
	if s.failed != (err != nil) {
		s.failed = err != nil
		s.tell(err)
	}
	return written, err
}

// outletsOf are the queues of the outlets, for the metrics.
func outletsOf(records *audit.Fan) map[string]console.Queue {
	all := make(map[string]console.Queue)
	for name, r := range records.Outlets() {
		all[name] = r
	}
	return all
}
