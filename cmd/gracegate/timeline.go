package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/timeline"
)

// defaultSite is what --site calls the site of clients that no site names, where none has this name.
const defaultSite = "default"

func newTimeline() *cobra.Command {
	var vendors, sites []string
	var at, from, to, horizon, picture, restriction string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "timeline",
		Short: "Show what is allowed until when, for each site, vendor and channel",
		Long: "Show what is allowed until when, for each site, vendor and channel: what holds now, until when, what comes then, and\n" +
			"all that held and will hold. Restrictions that the policy does not enforce are shown apart, with what each would do by\n" +
			"itself. Sites that are treated alike are shown once. Every date is from the decision that serve would make.",
		Example: "  gracegate timeline --vendor kaspersky\n" +
			"  gracegate timeline --restriction us-pafaca\n" +
			"  gracegate timeline --site boston --from 2026-01-01T00:00:00Z --svg wall.svg",
		Args: noArguments,
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy)
	f.StringArrayVar(&vendors, "vendor", nil, "only this `vendor`; may be repeated")
	f.StringArrayVar(&sites, "site", nil, "only this `site`, default for clients that no site names; may be repeated (default all)")
	f.StringVar(&at, "at", "", "the present `instant`, RFC 3339 with an offset (default now)")
	f.StringVar(&from, "from", "", "show nothing that ends before this `instant`")
	f.StringVar(&to, "to", "", "show nothing that begins at this `instant` or later")
	f.StringVar(&horizon, "as-known-at", "", "leave out what was published after this `instant` (default policy.known-at)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&picture, "svg", "", "draw a picture into this `file`, - is standard output, and print nothing else")
	f.StringVar(&restriction, "restriction", "", "only this `restriction`, as if it were enforced by itself, for clients whom it binds, whatever the policy says")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if asJSON && picture != "" {
			return invalid(errors.New("timeline shows one thing at a time"), "one of --json and --svg")
		}
		if restriction != "" && len(sites) > 0 {
			return invalid(errors.New("a restriction by itself is shown for clients whom it binds, and for no site"), "one of --restriction and --site")
		}
		opts := timeline.Options{At: time.Now().UTC().Truncate(time.Second), Vendors: vendors, Restriction: restriction}
		for _, flag := range []struct {
			name, text string
			to         *time.Time
		}{{"at", at, &opts.At}, {"from", from, &opts.From}, {"to", to, &opts.To}} {
			var err error
			if *flag.to, err = instantOr(flag.name, flag.text, *flag.to); err != nil {
				return err
			}
		}
		if !opts.From.IsZero() && !opts.To.IsZero() && !opts.From.Before(opts.To) {
			return invalid(fmt.Errorf("the window from %q to %q is empty", from, to), "--to is after --from")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		p, err := loadKnownAt(cfg, horizon)
		if err != nil {
			return err
		}
		if err := chooseRows(p, &opts, sites); err != nil {
			return err
		}
		t, err := timeline.Build(p, &opts)
		if err != nil {
			return err
		}
		return showTimeline(cmd.OutOrStdout(), t, asJSON, picture)
	}
	return cmd
}

func showTimeline(w io.Writer, t *timeline.Timeline, asJSON bool, picture string) error {
	switch {
	case asJSON:
		return failed(writeTimelineJSON(w, t), "")
	case picture == "":
		return failed(writeTimeline(w, t), "")
	}
	to := output{flag: "svg", name: picture}
	return to.write(w, t.WriteSVG)
}

// loadKnownAt compiles the policy as it would be if nothing later had been published; without an instant, as it is.
func loadKnownAt(cfg *config.Config, horizon string) (*policy.Policy, error) {
	p, err := loadPolicy(cfg)
	if err != nil {
		return nil, err
	}
	return asKnownAt(p, horizon)
}

// chooseRows checks the names of vendors, the restriction and sites.
func chooseRows(p *policy.Policy, opts *timeline.Options, sites []string) error {
	vendors, restrictions := idsOf(vendorNames(p)), idsOf(restrictionNames(p))
	for _, name := range opts.Vendors {
		if !slices.Contains(vendors, name) {
			return invalid(fmt.Errorf("unknown vendor %q", name), policy.Known(name, vendors))
		}
	}
	if name := opts.Restriction; name != "" && !slices.Contains(restrictions, name) {
		return invalid(fmt.Errorf("unknown restriction %q", name), policy.Known(name, restrictions))
	}
	known := siteNames(p)
	for _, name := range sites {
		switch {
		case slices.Contains(known, name):
		case name == defaultSite:
			name = ""
		default:
			return invalid(fmt.Errorf("unknown site %q", name), policy.Known(name, append(known, defaultSite)))
		}
		if _, ok := p.AskerOf(name); !ok {
			return invalid(fmt.Errorf("site %q has no clients: networks of other sites fill its own", name), "the most specific network wins")
		}
		opts.Sites = append(opts.Sites, name)
	}
	return nil
}

// idsOf takes the titles off names that shells offer with theirs.
func idsOf(names []string) []string {
	ids := make([]string, len(names))
	for i, name := range names {
		ids[i], _, _ = strings.Cut(name, "\t")
	}
	return ids
}
