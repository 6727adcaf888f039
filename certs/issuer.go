package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/gracegate/gracegate/policy/host"
)

// renewalShare of a leaf's life, at its end, is not used: a new leaf is made instead. With [LeafLifetime] that is a day.
const renewalShare = 7

// keyLifetime is how long new leaves get one key. A leaf keeps the key that it was made with.
const keyLifetime = 24 * time.Hour

// Signer is who signs for an [Issuer]: a [*CA] or an [*Authority].
type Signer interface{ signing() *signing }

// signing is what signs, what a client needs to see between its leaf and the root, and for whom.
type signing struct {
	authority *Authority
	above     []byte // the intermediate; nil if the root signs
	permits   func(host.Name) bool
}

// Issuer mints leaves on demand and keeps the most recently used ones. All leaves of a day have one key, so that a name costs one
// signature. It is safe for concurrent use.
type Issuer struct {
	// Failed is told of each leaf that could not be made, once however many waited for it. It must be set before the first is
	// asked for, and may be called from several goroutines at a time. If nil, nobody is told: to the client, its handshake failed.
	Failed func(name host.Name, err error)

	by      atomic.Pointer[signing]
	now     func() time.Time
	leaves  *lru.Cache[string, *kept]
	minting singleflight.Group
	tickets tickets

	mu   sync.Mutex
	key  *ecdsa.PrivateKey
	made time.Time
}

// kept is a leaf in the cache.
type kept struct {
	*tls.Certificate
	by         *signing
	from, used time.Time // it may be used from, and not after
}

// NewIssuer makes an issuer that keeps at most size leaves, at least one. If by is nil, nothing is permitted until Replace. Now is
// the clock for the validity of leaves; if nil, time.Now is used.
func NewIssuer(by Signer, size int, now func() time.Time) (*Issuer, error) {
	if size < 1 {
		return nil, fmt.Errorf("certs: room for %d leaves: want at least 1", size)
	}
	if now == nil {
		now = time.Now
	}
	leaves, err := lru.New[string, *kept](size)
	if err != nil {
		return nil, fmt.Errorf("certs: room for %d leaves: %w", size, err)
	}
	i := &Issuer{now: now, leaves: leaves, tickets: newTickets(now)}
	i.by.Store(&signing{permits: func(host.Name) bool { return false }})
	if by != nil {
		i.by.Store(by.signing())
	}
	_, err = i.leafKey()
	return i, err
}

// Replace has another CA sign from now on, after a renewal, or the first one. Leaves of the old one are not given out any more; sessions that began
// under it can still be resumed, but not under a name that the new one may not sign for.
func (i *Issuer) Replace(ca *CA) {
	i.by.Store(ca.signing())
	i.leaves.Purge()
}

// Permits tells whether there can be a leaf for a name now: who signs may sign for it, and is valid.
func (i *Issuer) Permits(name host.Name) bool {
	by := i.by.Load()
	return by.permits(name) && by.authority.validAt(i.now())
}

// leafKey is the key of the leaves that are made now.
func (i *Issuer) leafKey() (*ecdsa.PrivateKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now := i.now(); i.key == nil || now.Sub(i.made) >= keyLifetime || now.Before(i.made) {
		key, err := newKey()
		if err != nil {
			return nil, err
		}
		i.key, i.made = key, now
	}
	return i.key, nil
}

// Leaf returns the certificate for name: one alternative name, server authentication, [LeafLifetime]. It comes from the
// cache unless less than a seventh of its life is left, and is minted once however many ask at the same time. The chain
// is the leaf, and the intermediate if there is one. The certificate is shared and must not be changed.
//
// It fails for the zero name, for one outside the constraints of the CA, and while the authority is not valid.
func (i *Issuer) Leaf(name host.Name) (*tls.Certificate, error) {
	if name.IsZero() {
		return nil, errors.New("certs: leaf for no name: a host is needed")
	}
	if leaf, ok := i.cached(name); ok {
		return leaf, nil
	}
	by := i.by.Load()
	if !by.permits(name) {
		err := fmt.Errorf("certs: leaf for %s: it is outside the zones that the CA is constrained to: gracegate ca renew adds what the policy names", name)
		i.failed(name, err)
		return nil, err
	}
	leaf, err, _ := i.minting.Do(name.String(), func() (any, error) {
		// Who comes here just after another has minted finds that leaf.
		if leaf, ok := i.cached(name); ok {
			return leaf, nil
		}
		leaf, err := i.mint(by, name)
		if err != nil {
			i.failed(name, err)
		}
		return leaf, err
	})
	if err != nil {
		return nil, err
	}
	return leaf.(*tls.Certificate), nil
}

func (i *Issuer) failed(name host.Name, err error) {
	if i.Failed != nil {
		i.Failed(name, err)
	}
}

// cached returns a leaf that can still be used. One that begins after now, because the clock was set back, cannot.
func (i *Issuer) cached(name host.Name) (*tls.Certificate, bool) {
	leaf, ok := i.leaves.Get(name.String())
	if !ok {
		return nil, false
	}
	now := i.now()
	return leaf.Certificate, leaf.by == i.by.Load() && !now.Before(leaf.from) && now.Before(leaf.used)
}

// mint has the leaf signed by whom permitted it, also if that one is replaced meanwhile.
func (i *Issuer) mint(by *signing, name host.Name) (*tls.Certificate, error) {
	key, err := i.leafKey()
	if err != nil {
		return nil, err
	}
	leaf, err := by.authority.leaf(name, key.Public(), i.now())
	if err != nil {
		return nil, err
	}
	// Without the parsed form, which takes more room than all the rest and is not needed to serve it.
	certificate := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
	if by.above != nil {
		certificate.Certificate = append(certificate.Certificate, by.above)
	}
	renew := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / renewalShare)
	// A name may be part of a longer text, such as a request, which must not live as long as the leaf.
	i.leaves.Add(strings.Clone(name.String()), &kept{certificate, by, leaf.NotBefore, renew})
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
		UnwrapSession:  i.unwrap,
		Time:           i.now,
	}
}

// unwrap opens a session ticket; nil means a full handshake, in which a name that is not permitted gets no leaf.
func (i *Issuer) unwrap(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	if state.ServerName != "" {
		if name, err := host.Parse(state.ServerName); err != nil || !i.Permits(name) {
			return nil, nil //nolint:nilerr // a name that cannot be read began no session
		}
	}
	return i.tickets.unwrap(ticket, state)
}
