// Package certs issues TLS server certificates for the names that clients ask for.
//
// A [CA] is kept in files: a root that clients trust, and an intermediate that can sign for the names of a policy alone. An
// [Authority] is a self-signed root in memory, for tests and the demo. An [Issuer] has either sign a short-lived leaf for each
// name, keeps a bounded number of leaves, and gives out TLS configurations whose sessions can be resumed. All keys are ECDSA
// P-256 and come, like the serial numbers, from crypto/rand alone.
//
// The package touches no network, verifies nobody's certificate and revokes nothing.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
	"unicode/utf8"

	"github.com/gracegate/gracegate/policy/host"
)

const (
	// BackDate is how far before its making a certificate begins, for clients whose clock is behind.
	BackDate = time.Hour

	// LeafLifetime is how long a leaf is valid from its making, unless its authority ends sooner.
	LeafLifetime = 7 * 24 * time.Hour
)

const (
	maxCommonName = 64 // ub-common-name, RFC 5280, appendix A.1
	serialBits    = 128
)

// Authority is a certificate authority: a root certificate and the key that signs for it, both in memory. It is safe
// for concurrent use.
type Authority struct {
	root *x509.Certificate
	key  crypto.Signer
}

// NewAuthority makes a root with a new key, valid from [BackDate] before now until validity after it. The common name
// is what people see in their list of trusted authorities, 1 to 64 characters. The root signs leaves only: its path
// length is zero.
func NewAuthority(commonName string, now time.Time, validity time.Duration) (*Authority, error) {
	if n := utf8.RuneCountInString(commonName); n < 1 || n > maxCommonName || !utf8.ValidString(commonName) {
		return nil, fmt.Errorf("certs: common name %q of the authority: want 1 to %d characters of UTF-8", commonName, maxCommonName)
	}
	if validity <= 0 {
		return nil, fmt.Errorf("certs: validity %v of the authority: want a positive duration", validity)
	}
	key, serial, err := newKeyAndSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-BackDate),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	root, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certs: root %q: %w", commonName, err)
	}
	return &Authority{root: root, key: key}, nil
}

func (a *Authority) signing() *signing {
	return &signing{authority: a, permits: func(name host.Name) bool { return !name.IsZero() }}
}

// Certificate returns the root; it must not be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.root }

// PEM returns the root as a PEM block, as trust stores and curl's --cacert take it. The key is not in it.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

func (a *Authority) validAt(now time.Time) bool {
	return !now.Before(a.root.NotBefore) && !now.After(a.root.NotAfter)
}

// leaf signs a server certificate for name alone.
func (a *Authority) leaf(name host.Name, key crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	if !a.validAt(now) {
		return nil, fmt.Errorf("certs: leaf for %s: the authority %q is valid from %s until %s and now is %s: make a new authority or set the clock",
			name, a.root.Subject.CommonName, stamp(a.root.NotBefore), stamp(a.root.NotAfter), stamp(now))
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             latest(now.Add(-BackDate), a.root.NotBefore),
		NotAfter:              earliest(now.Add(LeafLifetime), a.root.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if address, ok := name.Addr(); ok {
		template.IPAddresses = append(template.IPAddresses, address.AsSlice())
	} else {
		template.DNSNames = []string{name.String()}
	}
	// Clients compare the alternative name. Some old ones show or want a common name too; a longer one would make the
	// certificate unlawful.
	if len(name.String()) <= maxCommonName {
		template.Subject.CommonName = name.String()
	}
	leaf, err := sign(template, a.root, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("certs: leaf for %s: %w", name, err)
	}
	return leaf, nil
}

// sign makes a certificate and reads it back as a client would.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back what was signed: %w", err)
	}
	return certificate, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certs: make a key: %w", err)
	}
	return key, nil
}

// newKeyAndSerial makes what every new authority begins with.
func newKeyAndSerial() (*ecdsa.PrivateKey, *big.Int, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	return key, serial, err
}

// newSerial returns 128 random bits, well above what RFC 5280, section 4.1.2.2 and browsers ask for.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("certs: make a serial number: %w", err)
	}
	return serial, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
