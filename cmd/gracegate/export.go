package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/export"
	"github.com/gracegate/gracegate/policy/host"
)

func newExport() *cobra.Command {
	var format, at, site, client, name string
	cmd := &cobra.Command{
		Use:   "export --format " + strings.Join(export.Formats, "|"),
		Short: "Write what is blocked by name, in the format of another program",
		Long: "Write the names that the policy blocks for a client at an instant, in the format of a DNS filter or another program.\n" +
			"The header tells until when it holds, and all that the format cannot express. A running gateway serves the same\n" +
			"under /export/FORMAT.",
		Example: "  gracegate export --format dnsmasq --output /etc/dnsmasq.d/gracegate.conf\n" +
			"  gracegate export --format rpz --site boston --at 2024-09-29T00:00:00-04:00",
		Args: noArguments,
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy)
	f.StringVar(&format, "format", "", "the `format`: "+strings.Join(export.Formats, ", "))
	f.StringVar(&at, "at", "", "the `instant`, RFC 3339 with an offset (default now)")
	f.StringVar(&site, "site", "", "for a client of this `site` whom nothing else names (default the default site)")
	f.StringVar(&client, "client", "", "for the client of this `address`")
	f.StringVar(&name, "output", "-", "the `file` to write; - is standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(export.Formats, format) {
			return invalid(fmt.Errorf("--format %q is not known", format), policy.Known(format, export.Formats))
		}
		if site != "" && client != "" {
			return invalid(errors.New("--site and --client both say whom the list is for"), "name one of them")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		p, err := loadPolicy(cfg)
		if err != nil {
			return err
		}
		asker, whom, err := exportFor(p, site, client)
		if err != nil {
			return err
		}
		when, err := instantOr("at", at, time.Now())
		if err != nil {
			return err
		}
		result := export.List(p, when, asker, whom)
		var cannot []string
		write := func(w io.Writer) (err error) {
			cannot, err = export.Write(w, format, &result)
			return err
		}
		to := output{flag: "output", name: name}
		err = to.write(cmd.OutOrStdout(), write)
		if err == nil && len(cannot) > 0 {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s not expressed in the format %s; the header tells which\n", counted(len(cannot), "thing is", "things are"), format)
		}
		return err
	}
	return cmd
}

// exportFor finds the client that a list is for, and says in words who that is.
func exportFor(p *policy.Policy, site, client string) (policy.Asker, string, error) {
	if client != "" {
		addr, err := netip.ParseAddr(client)
		if err != nil {
			return policy.Asker{}, "", invalid(fmt.Errorf("--client %q is no address", client), "an IPv4 or IPv6 address")
		}
		return policy.Asker{Client: host.ClientAddr(addr)}, "client " + addr.String(), nil
	}
	a, ok := p.AskerOf(site)
	if !ok {
		var names []string
		for i := range p.Operator().Sites {
			names = append(names, p.Operator().Sites[i].Name)
		}
		return a, "", invalid(fmt.Errorf("no site is called %q", site), policy.Known(site, names))
	}
	return a, siteWords(site), nil
}

func siteWords(site string) string {
	if site == "" {
		return "clients of the default site"
	}
	return "clients of site " + site
}

// maxExportAge is how long a list may be kept that does not change sooner.
const maxExportAge = time.Hour

// exports serves lists for what the policy says now, made once for each of its periods.
type exports struct {
	policies *policy.Holder
	now      func() time.Time // of policy
	rate     float64          // policy seconds in a real one

	mu   sync.Mutex // one list is made at a time: it may have a million names
	kept *lru.Cache[exportKey, *exported]
}

type exportKey struct {
	revision, format, site string
	era                    int
}

type exported struct {
	text  []byte
	etag  string
	until time.Time
}

func newExports(policies *policy.Holder, now func() time.Time, rate float64) *exports {
	kept, err := lru.New[exportKey, *exported](8)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &exports{policies: policies, now: now, rate: rate, kept: kept}
}

// handler serves a format. The list is for the site that a client asks from, or for that which ?site= names.
func (x *exports) handler(format string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, now := x.policies.Current(), x.now()
		site := r.URL.Query().Get("site")
		if !r.URL.Query().Has("site") {
			if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
				site, _ = p.Who(&policy.Facts{Client: host.ClientAddr(at.Addr())})
			}
		}
		e, ok := x.list(p, now, format, site)
		if !ok {
			http.Error(w, fmt.Sprintf("no site is called %q", site), http.StatusNotFound)
			return
		}
		age := x.age(e, now)
		h := w.Header()
		h.Set("Content-Type", export.MediaType)
		h.Set("Cache-Control", "max-age="+strconv.Itoa(int(age/time.Second)))
		h.Set("Expires", time.Now().Add(age).UTC().Format(http.TimeFormat))
		h.Set("ETag", e.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(e.text))
	})
}

// age is how long, in whole real seconds, a list stays right, at most maxExportAge.
func (x *exports) age(e *exported, now time.Time) time.Duration {
	if e.until.IsZero() || x.rate == 0 {
		return maxExportAge
	}
	left := e.until.Sub(now).Seconds() / x.rate
	if left >= maxExportAge.Seconds() {
		return maxExportAge
	}
	return time.Duration(max(left, 0)) * time.Second
}

func (x *exports) list(p *policy.Policy, now time.Time, format, site string) (*exported, bool) {
	key := exportKey{p.Revision(), format, site, p.Era(now)}
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, ok := x.kept.Get(key); ok {
		return e, true
	}
	asker, ok := p.AskerOf(site)
	if !ok {
		return nil, false
	}
	result := export.List(p, now, asker, siteWords(site))
	var text bytes.Buffer
	if _, err := export.Write(&text, format, &result); err != nil {
		return nil, false // a buffer takes everything
	}
	sum := sha256.Sum256(text.Bytes())
	e := &exported{text.Bytes(), `"` + hex.EncodeToString(sum[:16]) + `"`, result.Until}
	x.kept.Add(key, e)
	return e, true
}
