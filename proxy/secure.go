package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/gracegate/gracegate/policy/host"
)

// originSessions bounds the TLS sessions with origins that are kept to be resumed.
const originSessions = 1024

// newSecureTransport is newTransport for origins behind TLS. Their certificates must chain to roots, nil being the system's, be
// valid by real time, and be for the very name; nothing turns that off. No request is sent before. With http2, that is offered.
func newSecureTransport(dial func(context.Context, host.Name, uint16) (*net.TCPConn, error), idle, handshake time.Duration, roots *x509.CertPool, http2 bool) *http.Transport {
	t := newTransport(dial, idle)
	t.TLSHandshakeTimeout = handshake
	t.TLSClientConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            roots,
		ClientSessionCache: tls.NewLRUClientSessionCache(originSessions),
		VerifyConnection:   refuseRevoked,
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(http2)
	t.Protocols = protocols
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: 15 * time.Second, WriteByteTimeout: idle}
	return t
}

// revokedError tells that an origin's certificate is revoked.
type revokedError struct{ at time.Time }

func (e *revokedError) Error() string { return "the certificate was revoked on " + day(e.at) }

// refuseRevoked refuses a certificate of which the server itself brings the word that it is revoked (RFC 6066, section 8).
// Nobody else is asked: that would need connections of which no policy knows.
func refuseRevoked(state tls.ConnectionState) error {
	if len(state.OCSPResponse) == 0 || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) < 2 {
		return nil
	}
	chain := state.VerifiedChains[0]
	response, err := ocsp.ParseResponseForCert(state.OCSPResponse, chain[0], chain[1])
	if err != nil {
		return nil //nolint:nilerr // what cannot be read says nothing, as if it were not there
	}
	if response.Status == ocsp.Revoked {
		return &revokedError{response.RevokedAt}
	}
	return nil
}

// certificateTrouble tells, in a sentence for people, what is wrong with an origin's TLS; empty if the error is about
// something else.
func certificateTrouble(err error) (reason, proxy, detail string) {
	const unsent = "; the request was not sent"
	if revoked, ok := errors.AsType[*revokedError](err); ok {
		return "certificate", "tls_certificate_error", "the origin's " + revoked.Error()[len("the "):] + unsent
	}
	if wrong, ok := errors.AsType[x509.HostnameError](err); ok {
		return "certificate", "tls_certificate_error", "the origin's certificate is not for " + quoteName(wrong.Host) + unsent
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "certificate", "tls_certificate_error", "the origin's certificate was not issued by an authority that this gateway trusts" + unsent
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired && invalid.Cert != nil {
			return "certificate", "tls_certificate_error", validity(invalid.Cert, time.Now()) + unsent
		}
		return "certificate", "tls_certificate_error", "the origin's certificate may not be used for this host" + unsent
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate", "tls_certificate_error", "the origin's certificate cannot be verified" + unsent
	}
	// An alert is an error of no exported type, in one of these two.
	if alert, ok := errors.AsType[*net.OpError](err); ok && (alert.Op == "remote error" || alert.Op == "local error") {
		return "tls", "tls_alert_received", fmt.Sprintf("TLS with the origin failed (%.80s)%s", alert.Err, unsent)
	}
	if strings.HasPrefix(err.Error(), "tls: ") {
		return "tls", "tls_protocol_error", "TLS with the origin failed" + unsent
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "tls", "tls_protocol_error", "the origin does not speak TLS" + unsent
	}
	return "", "", ""
}

func validity(c *x509.Certificate, now time.Time) string {
	if now.Before(c.NotBefore) {
		return "the origin's certificate is valid only from " + day(c.NotBefore)
	}
	return "the origin's certificate expired on " + day(c.NotAfter)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// quoteName shows a name that was asked for; what is none is not shown.
func quoteName(s string) string {
	name, err := host.Parse(s)
	if err != nil {
		return "this host"
	}
	return name.String()
}
