package certs

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

const (
	// RootLifetime is how long a root is valid from its making.
	RootLifetime = 10 * 365 * 24 * time.Hour

	// IntermediateLifetime is how long an intermediate is valid from its making, unless its root ends sooner.
	IntermediateLifetime = 365 * 24 * time.Hour

	// RenewBefore is how long before its end an intermediate had better be renewed.
	RenewBefore = 30 * 24 * time.Hour

	// MaxZones bounds the names that an intermediate is constrained to: it is sent with every handshake.
	MaxZones = 1000

	// maxIntermediate bounds the same in bytes. OpenSSL and BoringSSL, as they come, read no more than 100 KiB of certificates.
	maxIntermediate = 64 << 10

	// nowhere is permitted and excluded as the domain of mail addresses and URIs, so that none is left. It does not exist (RFC
	// 2606, section 2). An empty one, for all of them, is not understood by everyone.
	nowhere = "nowhere.invalid"
)

// publicCA is the SHA-256 of the public key of the CA that comes with github.com/elazarl/goproxy: whoever reads that library has
// its private key, and could speak for any host to a client that trusts it.
const publicCA = "c012de113a81789eb5c392c0580156bbc281f9f93e07f08cafa3329672e6993b"

// CA is a two-tier authority: a root that clients trust, whose key may be kept elsewhere, and an intermediate that signs leaves
// and can, by critical name constraints (RFC 5280, section 4.2.1.10), sign for names in its zones alone, and for no address. It
// does not change.
type CA struct {
	root  *x509.Certificate
	under *Authority // the intermediate
	zones []host.Name
}

// Root returns the certificate that clients trust; it must not be changed.
func (c *CA) Root() *x509.Certificate { return c.root }

// Intermediate returns the certificate that signs leaves; it must not be changed.
func (c *CA) Intermediate() *x509.Certificate { return c.under.root }

// Zones returns the names that the intermediate is constrained to, in order: each stands for itself and all names below.
func (c *CA) Zones() []host.Name { return slices.Clone(c.zones) }

// Permits tells whether the intermediate may sign for a name.
func (c *CA) Permits(name host.Name) bool {
	if name.IsZero() || name.IsAddr() {
		return false
	}
	return below(name.String(), func(zone string) bool {
		_, found := slices.BinarySearchFunc(c.zones, zone, func(z host.Name, s string) int { return cmp.Compare(z.String(), s) })
		return found
	})
}

func (c *CA) signing() *signing {
	return &signing{authority: c.under, above: c.Intermediate().Raw, permits: c.Permits}
}

// ValidAt tells whether the intermediate is valid at an instant, and with it the root: it begins no sooner and ends no later.
func (c *CA) ValidAt(at time.Time) bool { return c.under.validAt(at) }

// RenewBy returns when the intermediate had better be renewed.
func (c *CA) RenewBy() time.Time { return c.Intermediate().NotAfter.Add(-RenewBefore) }

// newRoot makes a root, of a name that no other has.
func newRoot(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, serial, err := newKeyAndSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "gracegate root " + serial.Text(36)[:8]},
		NotBefore:             now.Add(-BackDate),
		NotAfter:              now.Add(RootLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1,
	}
	root, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("certs: root: %w", err)
	}
	return root, key, nil
}

// newIntermediate has a root sign an intermediate for zones.
func newIntermediate(root *x509.Certificate, rootKey *ecdsa.PrivateKey, zones []host.Name, now time.Time) (*CA, *ecdsa.PrivateKey, error) {
	zones, err := checkZones(zones)
	if err != nil {
		return nil, nil, err
	}
	if now.Before(root.NotBefore) || !now.Before(root.NotAfter) {
		return nil, nil, fmt.Errorf("certs: the root is valid from %s until %s and now is %s: make a new CA, or set the clock", stamp(root.NotBefore), stamp(root.NotAfter), stamp(now))
	}
	key, serial, err := newKeyAndSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:                serial,
		Subject:                     pkix.Name{CommonName: "gracegate intermediate " + serial.Text(36)[:8]},
		NotBefore:                   latest(now.Add(-BackDate), root.NotBefore),
		NotAfter:                    earliest(now.Add(IntermediateLifetime), root.NotAfter),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		ExcludedIPRanges:            everyAddress(),
		PermittedEmailAddresses:     []string{nowhere},
		ExcludedEmailAddresses:      []string{nowhere},
		PermittedURIDomains:         []string{nowhere},
		ExcludedURIDomains:          []string{nowhere},
	}
	for _, z := range zones {
		template.PermittedDNSDomains = append(template.PermittedDNSDomains, z.String())
	}
	intermediate, err := sign(template, root, key.Public(), rootKey)
	if err != nil {
		return nil, nil, fmt.Errorf("certs: intermediate: %w", err)
	}
	if n := len(intermediate.Raw); n > maxIntermediate {
		return nil, nil, fmt.Errorf("certs: %d zones make a certificate of %d bytes: every handshake carries it, and clients take at most %d of ours: name zones instead of their hosts", len(zones), n, maxIntermediate)
	}
	return &CA{root: root, under: &Authority{root: intermediate, key: key}, zones: zones}, key, nil
}

// checkZones puts zones in order, without those below others, and refuses what cannot be constrained to.
func checkZones(zones []host.Name) ([]host.Name, error) {
	for _, z := range zones {
		if z.IsZero() || z.IsAddr() {
			return nil, fmt.Errorf("certs: zone %q: want a domain name", z)
		}
	}
	widest := widestZones(zones)
	switch {
	case len(widest) == 0:
		return nil, errors.New("certs: no zones: the policy names nothing that could be intercepted, so there is nothing to sign for")
	case len(widest) > MaxZones:
		return nil, fmt.Errorf("certs: %d zones: a certificate is constrained to at most %d, since every handshake carries it: name zones instead of their hosts", len(widest), MaxZones)
	}
	return widest, nil
}

// widestZones are the zones that are below no other, in order: they permit the same names as all of them.
func widestZones(zones []host.Name) []host.Name {
	byLength := slices.Clone(zones) // a zone is longer than what it is below
	slices.SortFunc(byLength, func(a, b host.Name) int { return cmp.Compare(len(a.String()), len(b.String())) })
	kept := make(map[string]bool)
	var widest []host.Name
	for _, z := range byLength {
		if !below(z.String(), func(zone string) bool { return kept[zone] }) {
			kept[z.String()] = true
			widest = append(widest, z)
		}
	}
	slices.SortFunc(widest, byName)
	return widest
}

func byName(a, b host.Name) int { return cmp.Compare(a.String(), b.String()) }

// below tells whether a name, or one that it is below, is a zone.
func below(name string, isZone func(string) bool) bool {
	for {
		if isZone(name) {
			return true
		}
		_, parent, more := strings.Cut(name, ".")
		if !more {
			return false
		}
		name = parent
	}
}

func everyAddress() []*net.IPNet {
	return []*net.IPNet{
		{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	}
}

// checkPair judges what was read: whether root and intermediate are what this package makes.
func checkPair(root, intermediate *x509.Certificate) error {
	for _, c := range []*x509.Certificate{root, intermediate} {
		digest := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		switch key, ok := c.PublicKey.(*ecdsa.PublicKey); {
		case hex.EncodeToString(digest[:]) == publicCA:
			return fmt.Errorf("%q is the CA that comes with goproxy, whose private key is public: make one of your own", c.Subject)
		case !c.IsCA || !c.BasicConstraintsValid:
			return fmt.Errorf("%q is no certificate of a CA", c.Subject)
		case !ok || key.Params().BitSize != 256:
			return fmt.Errorf("%q has a key of another kind than ECDSA P-256", c.Subject)
		case c.KeyUsage&x509.KeyUsageCertSign == 0:
			return fmt.Errorf("%q may not sign certificates", c.Subject)
		}
	}
	if err := intermediate.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("%q was not signed by %q", intermediate.Subject, root.Subject)
	}
	if intermediate.NotBefore.Before(root.NotBefore) || intermediate.NotAfter.After(root.NotAfter) {
		return fmt.Errorf("%q is valid from %s until %s, and its root from %s until %s", intermediate.Subject,
			stamp(intermediate.NotBefore), stamp(intermediate.NotAfter), stamp(root.NotBefore), stamp(root.NotAfter))
	}
	if err := checkConstraints(intermediate); err != nil {
		return err
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("the root %q did not sign itself", root.Subject)
	}
	if slices.ContainsFunc(root.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(nameConstraints) }) {
		return fmt.Errorf("the root %q has name constraints: clients do not agree on those of a root", root.Subject)
	}
	if root.MaxPathLen == 0 {
		return fmt.Errorf("the root %q lets no CA be below it", root.Subject)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	if _, err := intermediate.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: intermediate.NotBefore}); err != nil {
		return fmt.Errorf("no client would accept %q: %w", intermediate.Subject, err)
	}
	return nil
}

var nameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// checkConstraints wants an intermediate that could not sign for any name or address.
func checkConstraints(c *x509.Certificate) error {
	excluded := func(bits int) bool {
		return slices.ContainsFunc(c.ExcludedIPRanges, func(n *net.IPNet) bool {
			ones, size := n.Mask.Size()
			return ones == 0 && size == bits
		})
	}
	switch {
	case !c.PermittedDNSDomainsCritical || len(c.PermittedDNSDomains) == 0:
		return fmt.Errorf("%q has no critical name constraints: it could sign for every host", c.Subject)
	case !excluded(32) || !excluded(128):
		return fmt.Errorf("%q could sign for addresses", c.Subject)
	case len(c.ExcludedDNSDomains) > 0:
		return fmt.Errorf("%q excludes %q: want zones that are permitted alone", c.Subject, c.ExcludedDNSDomains[0])
	case len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth || len(c.UnknownExtKeyUsage) > 0:
		return fmt.Errorf("%q could sign for more than servers, or not for them", c.Subject)
	case len(c.Raw) > maxIntermediate:
		return fmt.Errorf("%q has %d bytes, and clients take at most %d", c.Subject, len(c.Raw), maxIntermediate)
	case !c.MaxPathLenZero:
		return fmt.Errorf("%q could make further CAs", c.Subject)
	}
	return nil
}

// ca joins what was read, once it is judged.
func ca(root, intermediate *x509.Certificate, key *ecdsa.PrivateKey) (*CA, error) {
	public, ok := intermediate.PublicKey.(*ecdsa.PublicKey)
	if !ok || !public.Equal(key.Public()) {
		return nil, errors.New("the key is not that of the certificate")
	}
	c := &CA{root: root, under: &Authority{root: intermediate, key: key}}
	for _, domain := range intermediate.PermittedDNSDomains {
		z, err := host.Parse(domain)
		if err != nil {
			return nil, fmt.Errorf("a constraint to %q: %w", domain, err)
		}
		c.zones = append(c.zones, z)
	}
	slices.SortFunc(c.zones, byName)
	return c, nil
}
