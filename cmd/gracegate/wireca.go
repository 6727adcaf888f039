package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/gracegate/gracegate/certs"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/host"
)

// maxLeaves is how many certificates for intercepted names are kept: 10,000 take some 10 MiB.
const maxLeaves = 10_000

// authority is the CA of a running gateway, which may come, and be renewed, while it runs.
type authority struct {
	dir    string // empty: interception is off
	issuer *certs.Issuer
	ca     atomic.Pointer[certs.CA] // nil: there is none yet

	log      *zap.Logger
	warnings rate.Sometimes // of leaves that could not be made
	failures atomic.Int64   // since the last warning
}

func newAuthority(dir string, log *zap.Logger) (*authority, error) {
	issuer, err := certs.NewIssuer(nil, maxLeaves, nil)
	if err != nil {
		return nil, err
	}
	a := &authority{dir: dir, issuer: issuer, log: log, warnings: rate.Sometimes{Interval: time.Minute}}
	issuer.Failed = a.mintFailed
	return a, nil
}

// mintFailed warns of a leaf that could not be made: the client was told no more than that its handshake failed. There is one warning a
// minute at most, since a client chooses how often it connects.
func (a *authority) mintFailed(name host.Name, err error) {
	a.failures.Add(1)
	a.warnings.Do(func() {
		a.log.Warn("no certificate could be made for an intercepted host", zap.Stringer("host", name), zap.Error(err), zap.Int64("failures", a.failures.Swap(0)))
	})
}

// load reads the CA, if there is one. What was in force stays if that fails, or if what was read is not in force.
func (a *authority) load() error {
	if a.dir == "" {
		return nil
	}
	was := a.ca.Load()
	ca, err := certs.Load(a.dir)
	if err != nil {
		// A CA that was never made; one that is gone is another matter.
		if errors.Is(err, fs.ErrNotExist) && was == nil && !holdsCA(a.dir) {
			return nil
		}
		return caError(err)
	}
	now := time.Now()
	if problem, hint := outOfForce(ca, now); problem != "" && was != nil && was.ValidAt(now) {
		return invalid(errors.New(problem), hint)
	}
	if was == nil || !was.Intermediate().Equal(ca.Intermediate()) {
		a.issuer.Replace(ca)
		a.ca.Store(ca)
	}
	return nil
}

// holdsCA tells whether a directory holds a root.
func holdsCA(dir string) bool {
	_, err := os.Lstat(certs.RootFile(dir))
	return err == nil
}

// root returns the certificate that clients trust, and nil if there is no CA.
func (a *authority) root() *x509.Certificate {
	if ca := a.ca.Load(); ca != nil {
		return ca.Root()
	}
	return nil
}

// serial tells one CA from the next; empty if there is none.
func (a *authority) serial() string {
	if ca := a.ca.Load(); ca != nil {
		return ca.Intermediate().SerialNumber.String()
	}
	return ""
}

// uncovered returns the zones that the CA may not sign for.
func (a *authority) uncovered(zones []host.Name) []host.Name {
	var list []host.Name
	for _, z := range zones {
		if !a.issuer.Permits(z) {
			list = append(list, z)
		}
	}
	return list
}

// outOfForce tells why the CA signs nothing at an instant, and what to do; empty if it does, or there is none.
func (a *authority) outOfForce(at time.Time) (problem, hint string) {
	return outOfForce(a.ca.Load(), at)
}

func outOfForce(ca *certs.CA, at time.Time) (problem, hint string) {
	switch {
	case ca == nil || ca.ValidAt(at):
		return "", ""
	case at.After(ca.Root().NotAfter):
		return "the root of the CA has ended: " + ca.Root().NotAfter.UTC().Format(time.RFC3339), "move the files of the CA away, and run gracegate ca init"
	case at.After(ca.Intermediate().NotAfter):
		return "the CA has ended: " + ca.Intermediate().NotAfter.UTC().Format(time.RFC3339), "gracegate ca renew"
	default:
		return "the CA has not begun: " + ca.Intermediate().NotBefore.UTC().Format(time.RFC3339), "set the clock"
	}
}

// due tells whether the CA should have been renewed at an instant, and by when; it is false if there is none.
func (a *authority) due(at time.Time) (renewBy time.Time, is bool) {
	ca := a.ca.Load()
	if ca == nil {
		return time.Time{}, false
	}
	renewBy = ca.RenewBy()
	return renewBy, !at.Before(renewBy)
}

// notAfter is when the intermediate ends; zero if there is no CA.
func (a *authority) notAfter() time.Time {
	if ca := a.ca.Load(); ca != nil {
		return ca.Intermediate().NotAfter
	}
	return time.Time{}
}

// caFacts is what the commands about a CA tell of it.
type caFacts struct {
	Root, Intermediate *x509.Certificate
	Zones              []host.Name
	RenewBy            time.Time
	Problem, Hint      string // why it signs nothing now, and what to do; empty if it does
	permits            func(host.Name) bool
}

func factsOf(ca *certs.CA, err error) (*caFacts, error) {
	if err != nil {
		return nil, caError(err)
	}
	problem, hint := outOfForce(ca, time.Now())
	return &caFacts{ca.Root(), ca.Intermediate(), ca.Zones(), ca.RenewBy(), problem, hint, ca.Permits}, nil
}

func initCA(dir, offline string, zones []host.Name, removed func(name string)) (*caFacts, error) {
	return factsOf(certs.Store{Dir: dir, RootKeyDir: offline, Removed: removed}.Init(zones, time.Now()))
}

func renewCA(dir, offline string, zones []host.Name, removed func(name string)) (*caFacts, error) {
	return factsOf(certs.Store{Dir: dir, RootKeyDir: offline, Removed: removed}.Renew(zones, time.Now()))
}

func readCA(dir string) (*caFacts, error) { return factsOf(certs.Load(dir)) }

func exportRoot(root *x509.Certificate, format string) ([]byte, error) {
	return certs.Export(root, format)
}

// caError puts what a CA's file is wrong with, and what to do, as commands tell it.
func caError(err error) error {
	if file, ok := errors.AsType[*certs.FileError](err); ok {
		return invalid(fmt.Errorf("%s: %w", file.Name, file.Err), file.Hint)
	}
	return invalid(err, "")
}

// upstreamRoots are the authorities that origins' certificates must chain to: the system's, and those of upstream.ca-file.
func upstreamRoots(cfg *config.Config) (*x509.CertPool, error) {
	return readRoots("upstream.ca-file", cfg.Upstream.CAFile)
}

// readRoots returns the system's authorities and those of the PEM file that a setting names; nil if it names none.
func readRoots(setting, name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, invalid(fmt.Errorf("%s: %w", setting, err), "it names a PEM file of certificates")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(data) {
		return nil, invalid(fmt.Errorf("%s: %s holds no certificate in PEM", setting, name), "it names a PEM file of certificates")
	}
	return roots, nil
}
