package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
	"github.com/gracegate/gracegate/policy/source"
)

func newWaiverAdd() *cobra.Command {
	var w source.WaiverText
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add a waiver",
		Long: "Add a waiver to the file that policy.waivers names, which is made if it is not there, or else to the policy file.\n" +
			"It needs an end, an owner and a reason, and a vendor (all of its channels, unless some are named), or hosts, or\n" +
			"zones. Without clients, users and sites it is for every client. An instant is RFC 3339 with an offset, a duration\n" +
			"from now such as 14d, or a legal word with its date and zone: \"through 2026-12-31 Europe/Berlin\".",
		Example: "  gracegate waiver add --id CHG-1042 --client 10.10.9.9 --vendor kaspersky --channel signatures \\\n" +
			"    --until 14d --owner ops@example.org --reason \"replacement is scheduled\"",
		Args: noArguments,
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy)
	f.StringVar(&w.ID, "id", "", "its `id` (default W-DATE-NUMBER)")
	f.StringSliceVar(&w.Clients, "client", nil, "an `address`, a network or mac:00:16:3e:aa:bb:cc; may be repeated")
	f.StringArrayVar(&w.Users, "user", nil, "the `name` of a user; may be repeated")
	f.StringArrayVar(&w.Sites, "site", nil, "a `site` of the policy; may be repeated")
	f.StringVar(&w.Vendor, "vendor", "", "the `vendor` whose traffic may pass")
	f.StringSliceVar(&w.Channels, "channel", nil, "a `channel` of the vendor, such as signatures; may be repeated (default all)")
	f.StringArrayVar(&w.Hosts, "host", nil, "a `host` that may be reached; may be repeated")
	f.StringArrayVar(&w.Zones, "zone", nil, "a `zone` of which every name may be reached; may be repeated")
	f.StringVar(&w.From, "from", "", "the `instant` at which it begins (default it has always been)")
	f.StringVar(&w.Until, "until", "", "the `instant` at which it ends")
	f.StringVar(&w.Owner, "owner", "", "`who` answers for it")
	f.StringVar(&w.Reason, "reason", "", "`why` it is given")
	cmd.RunE = atDesk(atFlag(cmd), true, func(d *waiverDesk, _ []string) (string, error) { return d.add(&w) })
	return cmd
}

// add writes a waiver that is as the flags say, and tells what it did.
func (d *waiverDesk) add(w *source.WaiverText) (said string, err error) {
	w.From, w.Until = d.fromNow(w.From), d.fromNow(w.Until)
	if b := d.files.bundle; b != nil && b.Limits.Max() > 0 && w.From == "" { // what has a longest span begins
		w.From = instant.Format(d.at.Truncate(time.Second))
	}
	if w.ID == "" {
		w.ID = d.newID()
	}
	if err := d.check(w); err != nil {
		return "", err
	}
	home := d.home()
	text, err := source.AddWaiver(home, w)
	if err != nil {
		return "", err
	}
	p, err := d.put(home, text)
	if err != nil {
		return "", err
	}
	for i := range p.Operator().Waivers {
		if added := &p.Operator().Waivers[i]; added.ID == w.ID {
			said = fmt.Sprintf("added      %s to %s\nfor        %s\npasses     %s\nuntil      %s\n", w.ID, home.Name, whoText(added), targetText(&added.Target),
				zoned(added.Until.At, added.Until.Zone))
		}
	}
	return said + d.afterwards(p), nil
}

// fromNow writes a duration as the instant that is so far from now, and leaves what is none.
func (d *waiverDesk) fromNow(text string) string {
	if ahead, ok := source.ParseDuration(text); ok {
		return instant.Format(d.at.Add(ahead).Truncate(time.Second))
	}
	return text
}

// newID returns an id by the day that no file has in it, not even in a comment: it may be of one that was revoked.
func (d *waiverDesk) newID() string {
	all := d.files.policy.Data
	for _, f := range slices.Concat(d.files.signed, d.files.waivers) {
		all = append(append(bytes.Clone(all), '\n'), f.Data...)
	}
	for n := 1; ; n++ {
		if id := fmt.Sprintf("W-%s-%d", d.at.UTC().Format(time.DateOnly), n); !bytes.Contains(all, []byte(id)) {
			return id
		}
	}
}

// newWaiverName is what problems of a waiver call it that is in no file yet.
const newWaiverName = "the new waiver"

// flagOf is the flag that a key of a waiver comes from.
func flagOf(key string) string {
	switch key {
	case "clients", "users", "sites", "channels", "hosts", "zones":
		key = strings.TrimSuffix(key, "s")
	}
	return "--" + key
}

// check tells every mistake of the files and of a waiver that is to be added to them, each of the latter at its flag.
func (d *waiverDesk) check(w *source.WaiverText) error {
	var problems policy.Problems
	for _, needed := range []struct{ text, what, hint string }{
		{w.Until, "end", "add --until 14d, or an instant such as 2026-12-31T00:00:00Z"},
		{w.Owner, "owner", "add --owner and who answers for it"},
		{w.Reason, "reason", "add --reason and why"},
	} {
		if strings.TrimSpace(needed.text) == "" {
			problems.Add(policy.Pos{File: newWaiverName}, needed.hint, "it has no %s", needed.what)
		}
	}
	alone := w.File(newWaiverName)
	read, own := source.Waivers(alone)
	if len(own) == 0 && !d.at.Before(read[0].Until.At) {
		problems.Add(policy.Pos{File: "--until"}, "", "%s is not after now, %s", instant.Format(read[0].Until.At), instant.Format(d.at))
	}
	files := d.files
	files.waivers = slices.Concat(files.waivers, []source.File{alone})
	var all policy.Problems
	if _, err := d.law.compile(files, d.unread); err != nil && !errors.As(err, &all) {
		return err
	}
	for _, p := range all {
		if p.Pos.File == newWaiverName {
			if toldAlready(w, p.Message) {
				continue
			}
			p.Pos = place(w, p.Pos)
		}
		problems = append(problems, p)
	}
	return problems.Err()
}

// toldAlready tells a problem that others tell in terms of flags: what is missing, and what is picked by names that are none.
func toldAlready(w *source.WaiverText, message string) bool {
	picks := w.Vendor != "" || len(w.Hosts)+len(w.Zones) > 0
	return strings.HasPrefix(message, "a waiver without ") || picks && strings.HasSuffix(message, "picks no traffic")
}

// place is the flag behind a place in the file of the waiver alone, or the waiver as a whole.
func place(w *source.WaiverText, at policy.Pos) policy.Pos {
	const whole = 5 // the column after "  - "
	if key := w.KeyAt(at.Line); key != "" && at.Column != whole {
		return policy.Pos{File: flagOf(key)}
	}
	return policy.Pos{File: newWaiverName}
}
