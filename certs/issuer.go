package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/gracegate/gracegate/policy/host"
)

// renewalShare of a leaf's life, at its end, is not used: a new leaf is made instead. With [LeafLifetime] that is a day.
const renewalShare = 7

// Issuer mints leaves on demand and keeps the most recently used ones. All its leaves have one key, made with the
// issuer, so that a name costs one signature. It is safe for concurrent use.
type Issuer struct {
	authority *Authority
	key       *ecdsa.PrivateKey
	now       func() time.Time
	leaves    *lru.Cache[string, *tls.Certificate]
	minting   singleflight.Group
	tickets   tickets
}

// NewIssuer makes an issuer that keeps at most size leaves, at least one. Now is the clock for their validity; if nil,
// time.Now is used.
func NewIssuer(a *Authority, size int, now func() time.Time) (*Issuer, error) {
	if size < 1 {
		return nil, fmt.Errorf("certs: room for %d leaves: want at least 1", size)
	}
	if now == nil {
		now = time.Now
	}
	leaves, err := lru.New[string, *tls.Certificate](size)
	if err != nil {
		return nil, fmt.Errorf("certs: room for %d leaves: %w", size, err)
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return &Issuer{authority: a, key: key, now: now, leaves: leaves, tickets: newTickets(now)}, nil
}

// Leaf returns the certificate for name: one alternative name, server authentication, [LeafLifetime]. It comes from the
// cache unless less than a seventh of its life is left, and is minted once however many ask at the same time. The chain
// is the leaf alone. The certificate is shared and must not be changed.
//
// It fails for the zero name, and while the authority is not valid.
func (i *Issuer) Leaf(name host.Name) (*tls.Certificate, error) {
	if name.IsZero() {
		return nil, errors.New("certs: leaf for no name: a host is needed")
	}
	if leaf, ok := i.cached(name); ok {
		return leaf, nil
	}
	leaf, err, _ := i.minting.Do(name.String(), func() (any, error) {
		// Who comes here just after another has minted finds that leaf.
		if leaf, ok := i.cached(name); ok {
			return leaf, nil
		}
		return i.mint(name)
	})
	if err != nil {
		return nil, err
	}
	return leaf.(*tls.Certificate), nil
}

// cached returns a leaf that can still be used. One that begins after now, because the clock was set back, cannot.
func (i *Issuer) cached(name host.Name) (*tls.Certificate, bool) {
	certificate, ok := i.leaves.Get(name.String())
	if !ok {
		return nil, false
	}
	leaf, now := certificate.Leaf, i.now()
	renew := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / renewalShare)
	return certificate, !now.Before(leaf.NotBefore) && now.Before(renew)
}

func (i *Issuer) mint(name host.Name) (*tls.Certificate, error) {
	leaf, err := i.authority.leaf(name, i.key.Public(), i.now())
	if err != nil {
		return nil, err
	}
	certificate := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: i.key, Leaf: leaf}
	// A name may be part of a longer text, such as a request, which must not live as long as the leaf.
	i.leaves.Add(strings.Clone(name.String()), certificate)
	return certificate, nil
}

// GetCertificate is for [tls.Config]: the leaf for the name that the client sent. A client that sends none, as one does
// that goes to an address, gets a leaf for the address that it is connected to. A name that has no canonical form ends
// the handshake.
func (i *Issuer) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		address, err := localAddress(hello)
		if err != nil {
			return nil, err
		}
		return i.Leaf(address)
	}
	name, err := host.Parse(hello.ServerName)
	if err != nil {
		return nil, fmt.Errorf("certs: server name of the client: %w", err)
	}
	return i.Leaf(name)
}

func localAddress(hello *tls.ClientHelloInfo) (host.Name, error) {
	if hello.Conn == nil {
		return host.Name{}, errors.New("certs: the client names no server and has no connection")
	}
	local := hello.Conn.LocalAddr()
	address, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return host.Name{}, fmt.Errorf("certs: the client names no server and is connected to %q, which is no address and port", local)
	}
	return host.FromAddr(address.Addr()), nil
}

// ServerConfig returns a new configuration for TLS 1.2 and above that serves leaves and offers the given protocols
// (ALPN) in order of preference. Sessions are resumed between all configurations of the issuer, also if they are cloned
// or come out of GetConfigForClient, but only under the name that they began with.
func (i *Issuer) ServerConfig(nextProtos ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     slices.Clone(nextProtos),
		GetCertificate: i.GetCertificate,
		WrapSession:    i.tickets.wrap,
		UnwrapSession:  i.tickets.unwrap,
		Time:           i.now,
	}
}
