package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/bundle"
	"github.com/gracegate/gracegate/policy/host"
)

// bundleRoad is how bundles come from where policy.bundle says. It is not for concurrent use.
type bundleRoad struct {
	cfg    *config.Config
	client *http.Client // nil: it is a file
}

// fetchTime bounds a fetch as a whole, stepTime each of its first steps.
const fetchTime, stepTime = 30 * time.Second, 10 * time.Second

// newBundleRoad builds what can fail without a network.
func newBundleRoad(cfg *config.Config) (*bundleRoad, error) {
	road := &bundleRoad{cfg: cfg}
	if !cfg.Policy.BundleURL() {
		return road, nil
	}
	roots, err := upstreamRoots(cfg)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: stepTime}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: stepTime, ResponseHeaderTimeout: stepTime, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true,
	}
	if parent := cfg.Upstream.Parent; parent.Port != 0 {
		through := &url.URL{Scheme: "http", Host: host.Join(parent.Name, parent.Port)}
		user, password, err := cfg.Upstream.ParentLogin()
		if p, ok := errors.AsType[config.Problem](err); ok {
			return nil, config.Errors{p}
		}
		if user != "" {
			through.User = url.UserPassword(user, password)
		}
		transport.Proxy = http.ProxyURL(through)
		transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("upstream.parent answers %s", statusText(resp))
			}
			return nil
		}
	}
	road.client = &http.Client{Transport: transport, Timeout: fetchTime, CheckRedirect: onlyHTTPS}
	return road, nil
}

func onlyHTTPS(r *http.Request, via []*http.Request) error {
	switch {
	case r.URL.Scheme != "https":
		return fmt.Errorf("it leads to %s, which is not https", r.URL.Redacted())
	case len(via) > 5:
		return errors.New("it leads on and on")
	}
	return nil
}

// fetch returns the bytes that are there now, and their ETag. They are nil where those of an ETag are there still.
func (r *bundleRoad) fetch(ctx context.Context, known string) (data []byte, etag string, err error) {
	if r.client == nil {
		data, err = readBundleFile(r.cfg.Policy.Bundle)
		return data, "", err
	}
	if data, etag, err = r.get(ctx, known); err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, "", &unreachableError{r.cfg.Policy.Bundle, err}
	}
	return data, etag, nil
}

func (r *bundleRoad) get(ctx context.Context, known string) (data []byte, etag string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.cfg.Policy.Bundle, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("User-Agent", "gracegate/"+version())
	if known != "" {
		req.Header.Set("If-None-Match", known)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && known != "":
		return nil, known, nil
	case resp.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("it answers %s", statusText(resp))
	}
	data, err = readBounded(resp.Body)
	return data, resp.Header.Get("ETag"), err
}

// statusText is the status of a response, not in the words of the server: they may be any.
func statusText(r *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.StatusCode, http.StatusText(r.StatusCode)))
}

// readBounded reads one byte more than a bundle may have, so that what is too large is told by who verifies it.
func readBounded(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, bundle.MaxSize+1)) }

func readBundleFile(name string) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, policy.Problems{{Message: fmt.Sprintf("bundle %q: %s", name, cause(err)), Hint: "policy.bundle names a file that gracegate bundle sign made, or an https:// URL"}}
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return fail(err)
	case !info.Mode().IsRegular():
		return fail(errors.New("it is not a regular file"))
	}
	f, err := os.Open(name)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	data, err := readBounded(f)
	if err != nil {
		return fail(err)
	}
	return data, nil
}

// looksLikeBundle tells whether a file is a bundle rather than a policy, or something else. What is no regular file is not looked into,
// since a pipe can be read but once: it is none.
func looksLikeBundle(name string) bool {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 8<<10))
	return err == nil && bundle.Looks(head)
}

// unreachableError tells that nothing came from a URL.
type unreachableError struct {
	from  string
	cause error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("bundle %q cannot be fetched: %s", e.from, e.cause)
}
func (e *unreachableError) Unwrap() error { return e.cause }

// fetchFailure is the error of a command that could not fetch a bundle.
func fetchFailure(err error) error {
	if _, unreachable := errors.AsType[*unreachableError](err); unreachable {
		return failed(err, "policy.bundle names a URL that can be reached from here; upstream.parent and upstream.ca-file count")
	}
	return err
}

// bundleKeys reads the keys of policy.keys. The error is a [config.Errors] with all mistakes in it.
func bundleKeys(cfg *config.Config) ([]bundle.Key, error) {
	var keys []bundle.Key
	var problems config.Errors
	for _, item := range cfg.Policy.Keys {
		text := item
		if !config.IsKey(item) {
			file, err := readPolicyFile(item)
			if err != nil {
				problems = append(problems, config.Problem{Key: "policy.keys", Where: cfg.Origin("policy.keys"), Value: item, Message: fmt.Sprintf("%q cannot be read: %s", item, cause(err)), Hint: "name a file with a public key, or write the key itself, which begins with RW"})
				continue
			}
			text = string(file.Data)
		}
		key, err := bundle.ParseKey(text)
		if err != nil {
			problems = append(problems, config.Problem{Key: "policy.keys", Where: cfg.Origin("policy.keys"), Value: item, Message: fmt.Sprintf("%q is %s", item, err), Hint: "gracegate bundle keygen, or minisign -G, makes one"})
			continue
		}
		keys = append(keys, key)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return keys, nil
}

// bundleFiles are the files to watch: the bundle, if it is one, and those of keys.
func bundleFiles(cfg *config.Config) []string {
	var names []string
	if cfg.Policy.Bundle != "" && !cfg.Policy.BundleURL() {
		names = append(names, cfg.Policy.Bundle)
	}
	for _, item := range cfg.Policy.Keys {
		if !config.IsKey(item) {
			names = append(names, item)
		}
	}
	return names
}

// refusal says of which bundle an error is, if it is that of one that was refused: then the program ends with its exit code for that.
func refusal(from string, err error) error {
	refused, ok := errors.AsType[*bundle.RefusedError](err)
	if !ok {
		return err
	}
	return &codedError{fmt.Errorf("bundle %q is refused: %w", from, err), exitRefused, refused.Hint}
}

// verifyBundle verifies a bundle by the keys as they are now.
func verifyBundle(cfg *config.Config, from string, data []byte) (*bundle.Bundle, error) {
	keys, err := bundleKeys(cfg)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Read(data, keys)
	return b, refusal(from, err)
}

// readBundle returns the bundle of policy.bundle for a command that is no gateway: a file as it is, and of a URL that which the gateway of
// this data directory has, or else what is fetched. Whether it is fresh does not matter: what is asked about may be any instant.
func readBundle(cfg *config.Config) (*bundle.Bundle, error) {
	if cfg.Policy.BundleURL() {
		if b, err := keptBundle(cfg); err == nil {
			return b, nil
		}
	}
	road, err := newBundleRoad(cfg)
	if err != nil {
		return nil, err
	}
	data, _, err := road.fetch(context.Background(), "")
	if err != nil {
		return nil, fetchFailure(err)
	}
	return verifyBundle(cfg, cfg.Policy.Bundle, data)
}
