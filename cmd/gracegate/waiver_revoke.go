package main

import (
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

func newWaiverRevoke() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a waiver now",
		Long: "End a waiver now. It stays in its file as history: its end is moved to now, and a comment says so and why. One\n" +
			"that has not begun yet is taken out, and a comment stays in its place.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return invalid(fmt.Errorf("revoke takes the id of one waiver, not %d", len(args)), "gracegate waiver list shows them")
			}
			return nil
		},
		ValidArgsFunction: fromPolicy(waiverNames),
	}
	config.AddFlags(cmd.Flags(), config.GroupPolicy)
	cmd.Flags().StringVar(&reason, "reason", "", "`why` it ends, for the comment")
	cmd.RunE = atDesk(atFlag(cmd), false, func(d *waiverDesk, args []string) (string, error) { return d.revoke(args[0], reason) })
	return cmd
}

// revoke ends a waiver, and tells what it did.
func (d *waiverDesk) revoke(id, reason string) (said string, err error) {
	p, err := d.law.compile(d.files, d.unread)
	if err != nil {
		return "", err
	}
	w, err := d.revocable(p.Operator().Waivers, id)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(w.Pos.File, bundleMember("")) && d.files.bundle != nil {
		return "", invalid(fmt.Errorf("waiver %q is one of the bundle's, %s", id, w.Pos), "who signs the bundle takes it out")
	}
	edit, at := source.EndWaiver, d.at.Truncate(time.Second)
	switch {
	case w.From == nil || w.From.At.Before(at):
		said = fmt.Sprintf("revoked    %s in %s: it ends at %s instead of %s\n", id, w.Pos.File, instant.Format(at), zoned(w.Until.At, w.Until.Zone))
	case w.From.At.Before(d.at): // within this second
		at = d.at
		said = fmt.Sprintf("revoked    %s in %s: it ends at %s\n", id, w.Pos.File, instant.Format(at))
	default:
		edit = source.DropWaiver
		said = fmt.Sprintf("revoked    %s in %s: it was to begin at %s, and is gone\n", id, w.Pos.File, zoned(w.From.At, w.From.Zone))
	}
	f := d.file(w.Pos.File)
	text, err := edit(f, id, at, reason)
	if err != nil {
		return "", err
	}
	if p, err = d.put(f, text); err != nil {
		return "", err
	}
	return said + d.afterwards(p), nil
}

// revocable returns the waiver of this id, unless it is over.
func (d *waiverDesk) revocable(all []policy.Waiver, id string) (*policy.Waiver, error) {
	var left, ids []string
	for i := range all {
		ids = append(ids, all[i].ID)
		if d.at.Before(all[i].Until.At) {
			left = append(left, all[i].ID)
		}
	}
	i := slices.Index(ids, id)
	switch {
	case i < 0:
		return nil, invalid(fmt.Errorf("no waiver is called %q", id), policy.Known(id, ids))
	case !slices.Contains(left, id):
		hint := "none is left to revoke"
		if len(left) > 0 {
			hint = "not over are " + strings.Join(left, ", ")
		}
		return nil, invalid(fmt.Errorf("waiver %q is over since %s", id, instant.Format(all[i].Until.At)), hint)
	}
	return &all[i], nil
}
