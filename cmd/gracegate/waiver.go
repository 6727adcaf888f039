package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/source"
)

// newWaiver makes the commands about waivers. uses counts what records tell of them; nil: nothing keeps records.
func newWaiver(uses waiverUses) *cobra.Command {
	return newGroup("waiver", "Add, list and revoke waivers in the operator's files",
		"A waiver is an exception for some clients and some traffic, with an owner, a reason and an end. These commands\n"+
			"edit the file that policy.waivers names, or else the policy file, and leave all else in it as it is. Before\n"+
			"anything is written, it is read as the gateway would read it.",
		newWaiverAdd(), newWaiverList(uses), newWaiverRevoke())
}

// atFlag is the instant that a command takes for now.
func atFlag(cmd *cobra.Command) func() (time.Time, error) {
	text := cmd.Flags().String("at", "", "the `instant` to take for now, RFC 3339 with an offset (default now)")
	return func() (time.Time, error) {
		if *text == "" {
			return time.Now().Round(0), nil
		}
		return parseAt("at", *text)
	}
}

// atDesk is what a command does that edits waivers: open a desk at the instant that it takes for now, do its work there, and print
// what was done.
func atDesk(at func() (time.Time, error), mayMake bool, work func(d *waiverDesk, args []string) (said string, err error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		now, err := at()
		if err != nil {
			return err
		}
		d, err := openDesk(cfg, now, mayMake)
		if err != nil {
			return err
		}
		defer d.close()
		said, err := work(d, args)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), said)
		return failed(err, "")
	}
}

// waiverDesk is where waivers are edited: the operator's files as they were read, and as nobody else edits them meanwhile.
type waiverDesk struct {
	cfg    *config.Config
	law    *law
	at     time.Time
	files  operatorFiles
	unread policy.Problems
	absent bool // the file of waivers is named, and not there yet
	unlock func()
}

// newWaivers is the text of a file of waivers before it has any.
const newWaivers = "# Waivers: exceptions to the policy, each with an owner, a reason and an end. See gracegate waiver --help.\nwaivers:\n"

// openDesk locks and reads the operator's files. A file of waivers that is not there yet counts as one without waivers, if it may
// be made. Whoever opens a desk closes it.
func openDesk(cfg *config.Config, at time.Time, mayMake bool) (*waiverDesk, error) {
	d := &waiverDesk{cfg: cfg, law: &law{cfg: cfg}, at: at}
	if len(operatorNames(cfg)) == 0 {
		return nil, invalid(errors.New("neither policy.waivers nor policy.file names a file to keep waivers in"),
			"--policy-waivers waivers.yaml, beside the policy file or the built-in policy")
	}
	var err error
	if d.unlock, err = lockAround(operatorNames(cfg)); err != nil {
		return nil, failed(err, "the directory of the operator's files must be there")
	}
	if _, err := os.Lstat(cfg.Policy.Waivers); mayMake && cfg.Policy.Waivers != "" && errors.Is(err, fs.ErrNotExist) {
		d.absent = true
		without := *cfg
		without.Policy.Waivers = ""
		d.law.cfg = &without
	}
	if d.files, d.unread, err = d.law.operatorFiles(); err != nil {
		d.close()
		return nil, err
	}
	if d.absent {
		d.files.waivers = append(d.files.waivers, source.File{Name: cfg.Policy.Waivers, Data: []byte(newWaivers)})
	}
	return d, nil
}

func (d *waiverDesk) close() { d.unlock() }

// home is the file that a new waiver goes into.
func (d *waiverDesk) home() source.File {
	if len(d.files.waivers) > 0 {
		return d.files.waivers[0]
	}
	return d.files.policy
}

// file returns the file of this name.
func (d *waiverDesk) file(name string) source.File {
	for _, f := range d.files.waivers {
		if f.Name == name {
			return f
		}
	}
	return d.files.policy
}

// put gives a file another text, if the gateway would take it, and returns the policy that it then has.
func (d *waiverDesk) put(f source.File, text []byte) (*policy.Policy, error) {
	files := d.files
	files.waivers = slices.Clone(files.waivers)
	if files.policy.Name == f.Name {
		files.policy.Data = text
	}
	for i := range files.waivers {
		if files.waivers[i].Name == f.Name {
			files.waivers[i].Data = text
		}
	}
	p, err := d.law.compile(files, nil)
	if err != nil {
		return nil, err
	}
	was := f.Data
	if d.absent && f.Name == d.cfg.Policy.Waivers {
		was = nil
	}
	return p, replaceFile(f.Name, was, text)
}

// afterwards says what becomes of a change.
func (d *waiverDesk) afterwards(p *policy.Policy) string {
	how := "running gateways take it up by themselves (policy.reload), or on SIGHUP"
	if !d.cfg.Policy.Reload {
		how = "policy.reload is off: send SIGHUP to running gateways"
	}
	return fmt.Sprintf("revision   %s\n%s\n", p.Revision(), how)
}

// lockAround keeps others who edit these files out, until unlock is called.
func lockAround(names []string) (unlock func(), err error) {
	var dirs []string
	for _, name := range names {
		target, err := resolve(name)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, filepath.Dir(target))
	}
	slices.Sort(dirs) // in the same order everywhere, or two could wait for each other
	var held []func()
	unlock = func() {
		for _, release := range held {
			release()
		}
	}
	for _, dir := range slices.Compact(dirs) {
		release, err := lockDir(dir)
		if err != nil {
			unlock()
			return nil, fmt.Errorf("locking %s: %w", dir, cause(err))
		}
		held = append(held, release)
	}
	return unlock, nil
}

// whoText says whom a waiver is for.
func whoText(w *policy.Waiver) string {
	who := slices.Concat(clientTexts(&w.Clients), prefixed("user ", w.Clients.Users), prefixed("site ", w.Sites))
	if len(who) == 0 {
		return "every client"
	}
	return strings.Join(who, ", ")
}

// clientTexts are networks and devices as a policy file has them; an address stands for itself.
func clientTexts(c *policy.Clients) []string {
	out := []string{}
	for _, n := range c.Networks {
		if n.IsSingleIP() {
			out = append(out, n.Addr().String())
		} else {
			out = append(out, n.String())
		}
	}
	return append(out, prefixed("mac:", c.MACs)...)
}

func prefixed(prefix string, list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = prefix + s
	}
	return out
}

// targetText says what a waiver lets pass, or what a rule is about.
func targetText(t *policy.Target) string {
	if t.Vendor == "" {
		return strings.Join(slices.Concat(prefixed("host ", texts(t.Hosts)), prefixed("zone ", texts(t.Zones))), ", ")
	}
	if t.Channels == 0 {
		return t.Vendor
	}
	return t.Vendor + ": " + strings.Join(channelWords(t.Channels.List()), ", ")
}
