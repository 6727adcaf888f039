package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at this machine, and say what the gateway lacks; exit 3 if anything fails",
		Long: "Look at this machine with the settings that serve has, and say what is missing, with a remedy for each: policy, CA, data\n" +
			"directory, clock, open files, ports, and, for a transparent listener, the packet filter's rules, forwarding, routes,\n" +
			"QUIC and DNS. Nothing is changed. Some of it only root may see.",
		Args: noArguments,
	}
	f := cmd.Flags()
	config.AddFlags(f, config.AllGroups()...)
	f.BoolVar(&asJSON, "json", false, "print a list of objects: check, status (ok, warn, fail, skip), message, fix")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		found := newExamination(thisHost(cmd.Context()), cfg).findings()
		if asJSON {
			err = writeJSON(cmd.OutOrStdout(), found)
		} else {
			err = writeFindings(cmd.OutOrStdout(), found)
		}
		if err != nil {
			return failed(err, "")
		}
		return verdictOn(found)
	}
	return cmd
}

// finding is what a check found.
type finding struct {
	Check   string `json:"check"`
	Status  status `json:"status"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

type status string

// How a check ends.
const (
	statusOK   status = "ok"
	statusWarn status = "warn" // works, but not as one would want
	statusFail status = "fail" // does not work
	statusSkip status = "skip" // does not apply, or cannot be seen
)

func passes(format string, args ...any) finding {
	return finding{Status: statusOK, Message: fmt.Sprintf(format, args...)}
}

func warns(fix, format string, args ...any) finding {
	return finding{Status: statusWarn, Message: fmt.Sprintf(format, args...), Fix: fix}
}

func fails(fix, format string, args ...any) finding {
	return finding{Status: statusFail, Message: fmt.Sprintf(format, args...), Fix: fix}
}

func skips(fix, format string, args ...any) finding {
	return finding{Status: statusSkip, Message: fmt.Sprintf(format, args...), Fix: fix}
}

// verdictOn is the exit code.
func verdictOn(found []finding) error {
	for _, f := range found {
		if f.Status == statusFail {
			return &codedError{code: exitMatched}
		}
	}
	return nil
}

func writeFindings(w io.Writer, found []finding) error {
	width := 0
	for _, f := range found {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", f.Status, width, f.Check, f.Message)
		if f.Fix != "" {
			fmt.Fprintf(&b, "      fix: %s\n", f.Fix)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// check is one thing that is looked at.
type check struct {
	name  string
	scope scope
	find  func(*examination) finding
}

// scope is where a check has something to look at.
type scope int

const (
	everywhere  scope = iota
	onLinux           // what is looked at is Linux's
	transparent       // on Linux, and where a packet filter sends connections here
)

// checks are in the order in which they are told: what serve needs in any case, then the road of the packets.
func (x *examination) checks() []check {
	list := []check{{"policy", everywhere, checkPolicy}}
	if x.cfg.Policy.Bundle != "" {
		list = append(list, check{"bundle", everywhere, checkBundle})
	}
	list = append(list, []check{
		{"CA", everywhere, checkCA},
		{"data directory", everywhere, checkDataDirectory},
		{"clock", everywhere, checkClock},
		{"open files", onLinux, checkOpenFiles},
		{"resolver", onLinux, checkResolver},
	}...)
	for _, l := range x.listeners() {
		list = append(list, check{"port " + l.addr, onLinux, l.check})
	}
	return append(
		list,
		check{"nftables", transparent, checkTable},
		check{"interfaces", transparent, checkInterfaces},
		check{"TPROXY", transparent, checkTPROXY},
		check{"conntrack", transparent, checkConntrack},
		check{"forwarding IPv4", transparent, checkForwarding4},
		check{"forwarding IPv6", transparent, checkForwarding6},
		check{"IPv6", transparent, checkIPv6},
		check{"QUIC", transparent, checkQUIC},
		check{"DNS", transparent, checkDNS},
	)
}

// findings runs every check.
func (x *examination) findings() []finding {
	var found []finding
	for _, c := range x.checks() {
		f := x.outOfScope(c.scope)
		if f.Status == "" {
			f = c.find(x)
		}
		f.Check = c.name
		found = append(found, f)
	}
	return found
}

// outOfScope says why a check has nothing to look at; its status is empty if it has.
func (x *examination) outOfScope(s scope) finding {
	if s != everywhere && x.system != "linux" {
		return skips("", "is looked at on Linux only, this is %s", x.system)
	}
	if table, err := x.table(); s == transparent && len(x.cfg.Listen.Transparent) == 0 && (err != nil || table == nil) {
		return skips("", "listen.transparent is not set: clients are told of the proxy")
	}
	return finding{}
}
