package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/audit/sqlite"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
	"github.com/gracegate/gracegate/policy/source"
)

// waiverUses counts uses by the id of the waiver; nil means that there are no records.
type waiverUses func(ctx context.Context, cfg *config.Config) (map[string]sqlite.Use, error)

func newWaiverList(uses waiverUses) *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the waivers: in force, to come, and over",
		Long: "List the waivers of the policy and of policy.waivers, with how often records name them. Those in force come first,\n" +
			"the first to end on top, then those to come. Those that are over are history, the last " + strconv.Itoa(maxHistory) + " of them without --all.",
		Args: noArguments,
	}
	config.AddFlags(cmd.Flags(), config.GroupPolicy, config.GroupData)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: all of them, in one list")
	cmd.Flags().BoolVar(&all, "all", false, "the whole history")
	at := atFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		now, err := at()
		if err != nil {
			return err
		}
		l, err := listWaivers(cfg, now)
		if err != nil {
			return err
		}
		var uncounted error // the waivers are listed all the same
		if uses != nil {
			l.uses, uncounted = uses(cmd.Context(), cfg)
		}
		write := func(out io.Writer) error { return l.writeText(out, all) }
		if asJSON {
			write = l.writeJSON
		}
		return cmp.Or(failed(write(cmd.OutOrStdout()), ""), uncounted)
	}
	return cmd
}

// maxHistory is how many waivers that are over are shown without --all.
const maxHistory = 20

// waiverList is the waivers in the order in which they are listed.
type waiverList struct {
	current, history []listedWaiver
	uses             map[string]sqlite.Use // nil: there are no records
}

type listedWaiver struct {
	*policy.Waiver
	state string // active, future, expired or revoked
}

func listWaivers(cfg *config.Config, now time.Time) (*waiverList, error) {
	l := &law{cfg: cfg}
	files, unread, err := l.operatorFiles()
	if err != nil {
		return nil, err
	}
	p, err := l.compile(files, unread)
	if err != nil {
		return nil, err
	}
	revoked := source.Revoked(files.policy.Data)
	for _, f := range slices.Concat(files.signed, files.waivers) {
		maps.Copy(revoked, source.Revoked(f.Data))
	}
	out := new(waiverList)
	for i := range p.Operator().Waivers {
		w := listedWaiver{&p.Operator().Waivers[i], "active"}
		switch {
		case !now.Before(w.Until.At) && revoked[w.ID].Equal(w.Until.At):
			w.state = "revoked"
		case !now.Before(w.Until.At):
			w.state = "expired"
		case w.From != nil && now.Before(w.From.At):
			w.state = "future"
		}
		if now.Before(w.Until.At) {
			out.current = append(out.current, w)
		} else {
			out.history = append(out.history, w)
		}
	}
	slices.SortStableFunc(out.current, func(a, b listedWaiver) int {
		return cmp.Or(strings.Compare(a.state, b.state), a.Until.At.Compare(b.Until.At))
	})
	slices.SortStableFunc(out.history, func(a, b listedWaiver) int { return b.Until.At.Compare(a.Until.At) })
	return out, nil
}

func (l *waiverList) writeText(out io.Writer, all bool) error {
	var b strings.Builder
	if len(l.current) > 0 {
		l.table(&b, l.current)
	} else {
		b.WriteString("no waiver is in force or to come\n")
	}
	if shown := l.history; len(shown) > 0 {
		if !all && len(shown) > maxHistory {
			shown = shown[:maxHistory]
		}
		b.WriteString("\nhistory\n")
		l.table(&b, shown)
		if more := len(l.history) - len(shown); more > 0 {
			fmt.Fprintf(&b, "%d older ones: --all\n", more)
		}
	}
	if l.uses == nil {
		b.WriteString("\nno records that can be read: uses are not counted\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (l *waiverList) table(b *strings.Builder, list []listedWaiver) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) } // to memory
	row("ID", "STATE", "FOR", "PASSES", "FROM", "UNTIL", "USES", "LAST USE", "OWNER", "REASON")
	for _, w := range list {
		from, uses, last := "-", "-", "-"
		if w.From != nil {
			from = instant.Format(w.From.At)
		}
		if l.uses != nil {
			use := l.uses[w.ID]
			uses = strconv.FormatInt(use.Count, 10)
			if use.Count > 0 {
				last = instant.Format(use.Last)
			}
		}
		row(w.ID, w.state, whoText(w.Waiver), targetText(&w.Target), from, instant.Format(w.Until.At), uses, last, w.Owner, w.Reason)
	}
	_ = t.Flush() // likewise
}

// The JSON of a waiver. What is absent is null; uses are null without records.
type waiverJSON struct {
	ID       string   `json:"id"`
	State    string   `json:"state"`
	Clients  []string `json:"clients"`
	Users    []string `json:"users"`
	Sites    []string `json:"sites"`
	Vendor   *string  `json:"vendor"`
	Channels []string `json:"channels"`
	Hosts    []string `json:"hosts"`
	Zones    []string `json:"zones"`
	From     *string  `json:"from"`
	Until    string   `json:"until"`
	Owner    string   `json:"owner"`
	Reason   string   `json:"reason"`
	Uses     *int64   `json:"uses"`
	LastUse  *string  `json:"last_use"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
}

func (l *waiverList) writeJSON(out io.Writer) error {
	list := []waiverJSON{}
	for _, w := range slices.Concat(l.current, l.history) {
		j := waiverJSON{
			ID: w.ID, State: w.state, Clients: clientTexts(&w.Clients), Users: orEmpty(w.Clients.Users), Sites: orEmpty(w.Sites),
			Vendor: orNull(w.Target.Vendor), Channels: channelWords(w.Target.Channels.List()), Hosts: texts(w.Target.Hosts), Zones: texts(w.Target.Zones),
			Until: instant.Format(w.Until.At), Owner: w.Owner, Reason: w.Reason, File: w.Pos.File, Line: w.Pos.Line,
		}
		if w.From != nil {
			j.From = instantOrNull(w.From.At)
		}
		if l.uses != nil {
			use := l.uses[w.ID]
			j.Uses, j.LastUse = &use.Count, instantText(use.Last, use.Count > 0)
		}
		list = append(list, j)
	}
	return writeJSON(out, list)
}
