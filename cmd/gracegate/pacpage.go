package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/proxy/divert"
)

// onlyCatalog is the mode of a PAC file in which only the names that the policy knows go through the proxy.
const onlyCatalog = "catalog"

// pacPages serves PAC files that name this gateway as the client named it, with the port of the first proxy listener. The query
// only=catalog asks for that mode.
type pacPages struct {
	proxies []net.Listener
	policy  func() *policy.Policy

	mu    sync.Mutex
	of    *policy.Policy // the names' own
	names *divert.Names
	err   error
}

func (p *pacPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var opts divert.Options
	switch only := r.URL.Query()["only"]; {
	case len(only) == 1 && only[0] == onlyCatalog:
		names, err := p.known()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		opts.Only = names
	case len(only) > 0:
		http.Error(w, "only=catalog is the one mode besides none", http.StatusBadRequest)
		return
	}
	text, err := p.text(r.Host, opts)
	switch {
	case errors.Is(err, divert.TooLargeError{}):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	case err != nil:
		http.Error(w, "the Host field names no proxy", http.StatusBadRequest)
		return
	}
	digest := sha256.Sum256([]byte(text))
	w.Header().Set("Content-Type", divert.PACType)
	w.Header().Set("Cache-Control", "max-age=300")
	w.Header().Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(digest[:15])+`"`)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

func (p *pacPages) text(named string, opts divert.Options) (string, error) {
	if h, _, err := net.SplitHostPort(named); err == nil {
		named = h
	}
	_, port, err := net.SplitHostPort(p.proxies[0].Addr().String())
	if err != nil {
		return "", err
	}
	return divert.PAC(net.JoinHostPort(named, port), opts)
}

// known are the names of the policy in force. They are collected once for each policy, which takes a second if there are too
// many.
func (p *pacPages) known() (*divert.Names, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.policy(); p.of != now {
		p.of = now
		p.names, p.err = pacNames(now)
	}
	return p.names, p.err
}

// pacNames are the names that a policy knows, as a PAC file lists them.
func pacNames(p *policy.Policy) (*divert.Names, error) {
	return divert.NewNames(asText(p.KnownZones()), asText(p.KnownHosts()))
}

func asText(names iter.Seq[host.Name]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for n := range names {
			if !yield(n.String()) {
				return
			}
		}
	}
}
