package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/bundle"
)

func newBundleVerify() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [FILE|URL]",
		Short: "Tell whether a gateway would take up a bundle; exit 4 if it is refused",
		Long: "Tell whether a gateway with this configuration would take up a bundle, by default that of policy.bundle: whether one of\n" +
			"policy.keys has signed it, whether it is whole, whether it is valid now, whether it is newer than what was in force\n" +
			"with this data directory, and whether its policy can be read, beside the waivers of policy.waivers. It changes nothing.",
		Example: "  gracegate bundle verify policy.bundle --policy-keys bundle.pub",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return invalid(fmt.Errorf("verify takes one bundle, not %d", len(args)), "gracegate bundle verify policy.bundle --policy-keys bundle.pub")
			}
			return nil
		},
	}
	config.AddFlags(cmd.Flags(), config.GroupPolicy, config.GroupData, config.GroupClock, config.GroupUpstream)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 { // in place of what is configured
			for flag, value := range map[string]string{"policy-bundle": args[0], "policy-file": "", "policy-catalog": "", "policy-catalog-only": "false"} {
				if err := cmd.Flags().Set(flag, value); err != nil {
					return invalid(err, "")
				}
			}
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if cfg.Policy.Bundle == "" {
			return invalid(errors.New("there is no bundle to verify"), "gracegate bundle verify policy.bundle --policy-keys bundle.pub")
		}
		b, p, err := judgeBundle(cmd, cfg)
		if err != nil {
			return err
		}
		if asJSON {
			return failed(writeBundleJSON(cmd.OutOrStdout(), cfg.Policy.Bundle, b, p), "")
		}
		return failed(describeBundle(cmd.OutOrStdout(), "good", cfg.Policy.Bundle, b, p), "")
	}
	return cmd
}

// judgeBundle does what a gateway does before it takes up a bundle.
func judgeBundle(cmd *cobra.Command, cfg *config.Config) (*bundle.Bundle, *policy.Policy, error) {
	road, err := newBundleRoad(cfg)
	if err != nil {
		return nil, nil, err
	}
	data, _, err := road.fetch(cmd.Context(), "")
	if err != nil {
		return nil, nil, fetchFailure(err)
	}
	b, err := verifyBundle(cfg, cfg.Policy.Bundle, data)
	if err != nil {
		return nil, nil, err
	}
	now, err := realTime(cfg)
	if err != nil {
		return nil, nil, err
	}
	seen, err := seenBundle(cfg)
	if err != nil && !errors.Is(err, fs.ErrPermission) { // whoever may not read it asks for another machine, or for nobody
		return nil, nil, err
	}
	if err = b.Fresh(now); err == nil {
		err = b.After(seen)
	}
	if err != nil {
		return nil, nil, refusal(cfg.Policy.Bundle, err)
	}
	p, err := (&law{cfg: cfg, bundles: func() (*bundle.Bundle, error) { return b, nil }}).build(nil)
	return b, p, err
}

// realTime is what the clock of a gateway with this data directory would show, were it real time.
func realTime(cfg *config.Config) (time.Time, error) {
	real := *cfg
	real.Clock.At = time.Time{}
	c, err := newEdgeClock(&real)
	if errors.Is(err, fs.ErrPermission) { // the mark is another user's
		return kernel.Read().Wall, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	now, _ := c.real()
	return now, nil
}

// bundleJSON is what verify tells of a bundle.
type bundleJSON struct {
	Bundle    string          `json:"bundle"`
	Version   int64           `json:"version"`
	Created   time.Time       `json:"created"`
	Expires   time.Time       `json:"expires"`
	Key       string          `json:"key"`
	Digest    string          `json:"sha256"` // of what is signed
	Forbidden bool            `json:"local_waivers_forbidden"`
	Longest   *int64          `json:"local_waivers_max_seconds"` // null: no limit
	Alone     bool            `json:"catalog_only"`
	Revision  string          `json:"revision"`
	Members   []bundle.Member `json:"members"`
}

func writeBundleJSON(out io.Writer, name string, b *bundle.Bundle, p *policy.Policy) error {
	j := bundleJSON{
		Bundle: name, Version: b.Version, Created: b.Created, Expires: b.Expires, Key: b.KeyID, Digest: b.Digest,
		Forbidden: b.Limits.Forbidden, Alone: b.CatalogOnly, Revision: p.Revision(), Members: b.Members,
	}
	if most := b.Limits.MaxSeconds; most > 0 {
		j.Longest = &most
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(j)
}
