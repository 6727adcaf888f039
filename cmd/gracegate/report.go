package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/audit"
	reports "github.com/gracegate/gracegate/audit/report"
	"github.com/gracegate/gracegate/audit/sqlite"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
)

// reportPeriod is what a report covers unless told otherwise.
const reportPeriod = 30 * 24 * time.Hour

// reportFormats are the ways to write a report.
var reportFormats = map[string]func(*reports.Report, io.Writer) error{
	"text": (*reports.Report).WriteText,
	"html": (*reports.Report).WriteHTML,
	"json": (*reports.Report).WriteJSON,
	"csv":  (*reports.Report).WriteCSV,
	"md":   (*reports.Report).WriteMarkdown,
}

// seenSource has what was seen, summed up by the hour.
type seenSource interface {
	// Seen gives the sums of the hours in [since, until), in order; only those of a vendor or site that is not empty. It
	// ends after an error.
	Seen(ctx context.Context, since, until time.Time, vendor, site string) iter.Seq2[audit.Seen, error]
}

// reportQuestion is what a report is asked for, as it was written.
type reportQuestion struct {
	since, until, at string
	vendor, site     string
	format, output   string
}

func newReport() *cobra.Command {
	return reportCommand(func(ctx context.Context, cfg *config.Config) (*openedSource, error) {
		reader, uncounted, err := openSeen(ctx, cfg)
		if err != nil {
			return nil, err
		}
		recorded, err := recordedHours(ctx, reader)
		if err != nil {
			return nil, errors.Join(databaseFailure(err), reader.Close())
		}
		return &openedSource{reader, reader.Close, recorded, uncounted}, nil
	}, time.Now)
}

// recordedHours is how far a database reaches; nil where it has nothing.
func recordedHours(ctx context.Context, reader *sqlite.Reader) (*reports.Recorded, error) {
	first, last, ok, err := reader.Hours(ctx)
	if err != nil || !ok {
		return nil, err
	}
	return &reports.Recorded{Since: first, Until: last.Add(time.Hour)}, nil
}

// openSource opens what a report is made from.
type openSource func(context.Context, *config.Config) (*openedSource, error)

type openedSource struct {
	seenSource
	close     func() error
	recorded  *reports.Recorded
	uncounted int64 // records that are written and not in it yet
}

// reportCommand is the command with its source, and its clock for what is not told.
func reportCommand(open openSource, now func() time.Time) *cobra.Command {
	var q reportQuestion
	var verify bool
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Tell who still tries, what passed in grace and under which text, and what stops next",
		Long: "Tell from the record of a period which devices ask for what ended or will end, since when, what passed in its\n" +
			"grace period and under which text, which waivers were used, and what stops next and whom that hits. The record\n" +
			"is summed up by whole hours of UTC: the period is widened to them. The same record, policy, period and --at\n" +
			"give the same bytes. On a simulated clock name --at and --until: the record has the times of that clock.",
		Example: "  gracegate report --format html --output report.html\n" +
			"  gracegate report --since 2024-09-01T00:00:00-04:00 --until 2024-10-01T00:00:00-04:00 --site boston",
		Args: noArguments,
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy, config.GroupOperator, config.GroupData)
	f.StringVar(&q.since, "since", "", "the first `instant` of the period, RFC 3339 with an offset (default 30 days before its end)")
	f.StringVar(&q.until, "until", "", "the `instant` that ends the period, and is not in it (default --at)")
	f.StringVar(&q.at, "at", "", "the `instant` of the report: what stops next comes after it (default now)")
	f.StringVar(&q.vendor, "vendor", "", "only what was asked of this `vendor`")
	f.StringVar(&q.site, "site", "", "only clients of this `site`, default for those that no site names")
	f.StringVar(&q.format, "format", "text", "`format`: text, html, json, csv or md")
	f.StringVar(&q.output, "output", "-", "the `file` to write, which is there whole or not at all; - is standard output")
	f.BoolVar(&verify, "verify", false, "prove the records first, as audit verify does: some seconds for each million; the report tells what it found, and exit code 4 that they are not intact")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		write, ok := reportFormats[q.format]
		if !ok {
			return invalid(fmt.Errorf("--format %q is none of the formats", q.format), "text, html, json, csv or md")
		}
		o, err := q.options(now())
		if err != nil {
			return err
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		r, err := makeReport(cmd.Context(), cfg, o, open, verify)
		if err != nil {
			return err
		}
		to := output{flag: "output", name: q.output, private: true}
		if err := to.write(cmd.OutOrStdout(), func(w io.Writer) error { return write(r, w) }); err != nil {
			return err
		}
		return refuted(r.Integrity)
	}
	return cmd
}

// refuted is the end of a command whose report tells that the record is not intact.
func refuted(i *reports.Integrity) error {
	if i == nil || !i.Checked || i.Verified {
		return nil
	}
	return &codedError{fmt.Errorf("the record is not intact: %s", i.Problem), exitRefused, "the report is made all the same, and says so; gracegate audit verify tells more"}
}

// options are the question with what was left out.
func (q *reportQuestion) options(now time.Time) (*reports.Options, error) {
	o := &reports.Options{At: now.UTC().Round(0), Vendor: q.vendor, Site: q.site, Software: "gracegate " + version()}
	var err error
	if o.At, err = instantOr("--at", q.at, o.At); err != nil {
		return nil, err
	}
	if o.Until, err = instantOr("--until", q.until, o.At); err != nil {
		return nil, err
	}
	if o.Since, err = instantOr("--since", q.since, o.Until.Add(-reportPeriod)); err != nil {
		return nil, err
	}
	if !o.Since.Before(o.Until) {
		return nil, invalid(fmt.Errorf("the period from %s until %s is empty", o.Since.Format(time.RFC3339Nano), o.Until.Format(time.RFC3339Nano)),
			"--since is before --until, which is now unless it is given")
	}
	if o.Until.Sub(o.Since) >= reports.MaxPeriod {
		return nil, invalid(errors.New("the period is a hundred years or longer"), "--since and --until bound what is told")
	}
	return o, nil
}

// makeReport reads the record under the policy that is configured.
func makeReport(ctx context.Context, cfg *config.Config, o *reports.Options, open openSource, verify bool) (r *reports.Report, err error) {
	p, err := loadPolicy(cfg)
	if err != nil {
		return nil, err
	}
	o.PolicyFile = policyName(cfg)
	o.Operator = reports.Operator{Name: cfg.Operator.Name, Contact: cfg.Operator.Contact, URL: cfg.Operator.URL}
	if o.Gateway, err = os.Hostname(); err != nil {
		return nil, failed(err, "")
	}
	source, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closing := source.close(); err == nil {
			err = failed(closing, "")
		}
	}()
	if o.Integrity, err = integrityOf(cfg, verify); err != nil {
		return nil, err
	}
	o.Recorded, o.Uncounted = source.recorded, source.uncounted
	o.Simulated, _ = isSimulated(cfg.Data.Dir)
	since, until := o.Hours()
	r, err = reports.Build(p, o, source.Seen(ctx, since, until, o.Vendor, siteInRecord(p, o.Site)))
	if err != nil {
		return nil, failed(err, "")
	}
	if r.Summary.Flows == 0 { // a slip of the pen must not pass for good news
		return r, knownNames(p, o)
	}
	return r, nil
}

// siteInRecord is what the database calls a site.
func siteInRecord(p *policy.Policy, name string) string {
	if name == defaultSite && !slices.Contains(siteNames(p), name) {
		return sqlite.DefaultSite
	}
	return name
}

// knownNames refuses a vendor or site that the policy does not have.
func knownNames(p *policy.Policy, o *reports.Options) error {
	if vendors := idsOf(vendorNames(p)); o.Vendor != "" && !slices.Contains(vendors, o.Vendor) {
		return invalid(fmt.Errorf("the record has nothing of a vendor %q, and neither has the catalogue", o.Vendor), policy.Known(o.Vendor, vendors))
	}
	if sites := append(siteNames(p), defaultSite); o.Site != "" && !slices.Contains(sites, o.Site) {
		return invalid(fmt.Errorf("the record has nothing of a site %q, and neither has the policy", o.Site), policy.Known(o.Site, sites))
	}
	return nil
}
