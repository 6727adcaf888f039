package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
)

// The demo plays the end of the grace period of 89 FR 52434.
var demoDeadline = time.Date(2024, 9, 29, 4, 0, 0, 0, time.UTC)

const (
	demoLead = 10 * time.Second // of policy time before the deadline
	demoRate = 5                // policy seconds in a real one
)

// What the demo asks for: an update in plain, one inside of TLS, and a service that the determination exempts.
var demoURLs = []string{
	"http://dnl-01.geo.kaspersky.com/index/u1313g.xml",
	"https://s01.upd.kaspersky.com/index/u1313g.xml",
	"https://opentip.kaspersky.com/",
}

func newDemo() *cobra.Command {
	var origin, originTLS string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show both sides of a deadline, with a local origin and a fast clock",
		Long: "Show what happens to an update before and after the end of its grace period: a gateway with the built-in policy\n" +
			"and a clock that starts ten seconds before the deadline, an origin that stands in for the vendor's, and a client.\n" +
			"Everything is on this machine's loopback addresses. With --origin or --origin-tls only the origin is run, until\n" +
			"stopped, for a gateway of your own.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, release := untilStopped(cmd.Context())
			defer release()
			context.AfterFunc(ctx, release)
			for _, addr := range nonEmpty(origin, originTLS) {
				if len(bound(addr)) == 0 {
					return invalid(fmt.Errorf("%q is no address to listen on", addr), "one such as 127.0.0.1:8080")
				}
			}
			if origin != "" || originTLS != "" {
				return failed(serveOrigins(ctx, origin, originTLS, cmd.OutOrStdout()), "")
			}
			err := runDemo(ctx, cmd.OutOrStdout())
			if ctx.Err() != nil {
				err = errors.New("stopped before the end")
			}
			return failed(err, "")
		},
	}
	cmd.Flags().StringVar(&origin, "origin", "", "serve only the origin, over HTTP, on this `address`")
	cmd.Flags().StringVar(&originTLS, "origin-tls", "", "serve only the origin, over TLS with a certificate that nobody trusts, on this `address`")
	return cmd
}

// originHandler stands in for a vendor's update server. Its /slow is a download that goes on until the client leaves.
func originHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			serveSlowly(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n<!-- a stand-in for the update index, from gracegate demo -->\n<index path=%q/>\n", r.URL.EscapedPath()) //nolint:gosec // G705: quoted, and no HTML
	})
}

// serveSlowly says the time, a line a second.
func serveSlowly(w http.ResponseWriter, r *http.Request) {
	more := time.NewTicker(time.Second)
	defer more.Stop()
	for now := time.Now(); ; {
		_, err := fmt.Fprintln(w, instant.Format(now.Truncate(time.Second)))
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		if err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case now = <-more.C:
		}
	}
}

// origins is a running stand-in for the vendor.
type origins struct {
	plain, tls netip.AddrPort
	roots      *x509.CertPool // that the TLS side's certificates chain to
	servers    []*http.Server
}

func startOrigins(ctx context.Context, plain, secure string) (*origins, error) {
	o := &origins{}
	cfg, roots, err := newOriginTLS()
	if err != nil {
		return nil, err
	}
	o.roots = roots
	for _, side := range []struct {
		addr string
		to   *netip.AddrPort
		tls  *tls.Config
	}{{plain, &o.plain, nil}, {secure, &o.tls, cfg}} {
		if side.addr == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", side.addr)
		if err != nil {
			o.stop()
			return nil, err
		}
		*side.to = netip.MustParseAddrPort(l.Addr().String())
		if side.tls != nil {
			l = tls.NewListener(l, side.tls)
		}
		s := &http.Server{Handler: originHandler(), ReadHeaderTimeout: 10 * time.Second}
		o.servers = append(o.servers, s)
		go func() { _ = s.Serve(l) }()
	}
	return o, nil
}

func (o *origins) stop() {
	for _, s := range o.servers {
		_ = s.Close()
	}
}

func serveOrigins(ctx context.Context, plain, secure string, out io.Writer) error {
	o, err := startOrigins(ctx, plain, secure)
	if err != nil {
		return err
	}
	defer o.stop()
	for name, addr := range map[string]netip.AddrPort{"http": o.plain, "https": o.tls} {
		if addr.IsValid() {
			if _, err := fmt.Fprintf(out, "origin on %s://%s\n", name, addr); err != nil {
				return err
			}
		}
	}
	<-ctx.Done()
	return nil
}

func runDemo(ctx context.Context, out io.Writer) error {
	o, err := startOrigins(ctx, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer o.stop()
	dir, err := os.MkdirTemp("", "gracegate-demo-")
	if err != nil {
		return failed(err, "TMPDIR names a directory that this user may write")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	g, err := startDemoGateway(ctx, o, dir)
	if err != nil {
		return err
	}
	defer g.close(context.WithoutCancel(ctx))
	client, err := newDemoClient(g, o)
	if err != nil {
		return err
	}
	defer client.http.CloseIdleConnections()

	_, _ = fmt.Fprintf(out, "The built-in policy is in force: %s, for everybody.\n", g.policy().Operator().Restrictions[0].ID)
	_, _ = fmt.Fprintf(out, "A local origin stands in for the vendor. The clock starts ten seconds before the deadline and runs %d times as fast.\n", demoRate)
	if err := client.round(ctx, out); err != nil {
		return err
	}
	wait := demoDeadline.Sub(g.clock.Now()) / demoRate
	_, _ = fmt.Fprintf(out, "\n... %.1f seconds later ...\n", max(wait, 0).Seconds())
	for g.clock.Now().Before(demoDeadline) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(demoDeadline.Sub(g.clock.Now())/demoRate, time.Millisecond)):
		}
	}
	if err := client.round(ctx, out); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\nThe same by yourself: gracegate explain %s --at %s\n", "s01.upd.kaspersky.com", instant.Format(demoDeadline.Add(-1)))
	return nil
}

// startDemoGateway runs a real gateway; only its clock and where it finds the vendor's names are special, and what it records is gone when it ends.
func startDemoGateway(ctx context.Context, o *origins, dir string) (*gateway, error) {
	cfg := config.Default()
	cfg.Listen.Proxy, cfg.Listen.Admin = []string{"127.0.0.1:0"}, ""
	cfg.Data.Dir = dir
	cfg.CA.Dir = "" // whoever runs it may have a CA, which is none of its business
	cfg.Clock.At, cfg.Clock.Rate = demoDeadline.Add(-demoLead), demoRate
	for _, raw := range demoURLs {
		u, err := url.Parse(raw)
		if err != nil {
			return nil, err
		}
		name, err := host.Parse(u.Hostname())
		if err != nil {
			return nil, err
		}
		to := o.plain
		if u.Scheme == "https" {
			to = o.tls
		}
		cfg.Upstream.Hosts = append(cfg.Upstream.Hosts, config.UpstreamHost{Name: name, Address: to})
	}
	clk, err := newEdgeClock(cfg)
	if err != nil {
		return nil, err
	}
	g, err := newGateway(cfg, clk, zap.NewNop(), nil, audit.NewFan(1), nil)
	if err != nil {
		return nil, err
	}
	if err := g.listen(ctx); err != nil {
		g.close(ctx)
		return nil, err
	}
	go func() { _ = g.serve() }()
	return g, nil
}

// demoClient asks through the gateway, as any client that was told to use it would.
type demoClient struct {
	http    *http.Client
	gateway *gateway
	refused *http.Response // what the gateway answered to the last CONNECT that it refused
}

func newDemoClient(g *gateway, o *origins) (*demoClient, error) {
	proxies := g.addresses().Proxy
	c := &demoClient{gateway: g}
	c.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: proxies[0]}),
		TLSClientConfig:   &tls.Config{RootCAs: o.roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			c.refused = nil
			if resp.StatusCode != http.StatusOK {
				c.refused = resp
			}
			return nil
		},
	}}
	return c, nil
}

// round asks for everything once and tells what came back.
func (c *demoClient) round(ctx context.Context, out io.Writer) error {
	eastern, err := instant.LoadZone("America/New_York")
	if err != nil {
		return err
	}
	now := c.gateway.clock.Now().Truncate(time.Second)
	_, _ = fmt.Fprintf(out, "\npolicy time %s (%s)\n", instant.Format(now), instant.FormatIn(now, eastern))
	for _, raw := range demoURLs {
		status, note, err := c.get(ctx, raw)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "  %-50s %s\n", raw, status)
		if note != "" {
			_, _ = fmt.Fprintf(out, "      %s\n", note)
		}
	}
	return nil
}

func (c *demoClient) get(ctx context.Context, raw string) (status, note string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, nil)
	if err != nil {
		return "", "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var refused *url.Error
		if c.refused != nil && errors.As(err, &refused) {
			return c.refused.Status + " to CONNECT", c.refused.Header.Get("Proxy-Status"), nil
		}
		return "", "", err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return "", "", err
	}
	status = fmt.Sprintf("%s, %d bytes", resp.Status, n)
	if sunset := resp.Header.Get("Sunset"); sunset != "" {
		return status, "Sunset: " + sunset, nil
	}
	return status, resp.Header.Get("Proxy-Status"), nil
}
