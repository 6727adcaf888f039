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

// originTLS is how TLS is spoken with origins. Their certificates must chain to roots, nil being the system's, be valid by real time,
// and be for the very name; nothing turns that off.
func originTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            roots,
		ClientSessionCache: tls.NewLRUClientSessionCache(originSessions),
		VerifyConnection:   refuseRevoked,
	}
}

// secured shakes hands with an origin, over HTTP/1.1 alone, which proves that it is this host.
func (s *Server) secured(ctx context.Context, tcp *net.TCPConn, name host.Name) (*tls.Conn, error) {
	if s.cfg.Hello > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.Hello)
		defer cancel()
	}
	cfg := s.laneTLS.Clone()
	cfg.ServerName = name.String()
	c := tls.Client(tcp, cfg)
	return c, c.HandshakeContext(ctx)
}

// newSecureTransport is newTransport for origins behind TLS (originTLS). With http2, that is offered.
func newSecureTransport(dial dialFunc, idle, handshake time.Duration, roots *x509.CertPool, http2 bool) *http.Transport {
	t := newTransport(dial, idle)
	t.TLSHandshakeTimeout = handshake
	t.TLSClientConfig = originTLS(roots)
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

// tlsFailure is the failure for an error of TLS with an origin, told in a sentence for people; false if the error is about something
// else.
func tlsFailure(err error) (failure, bool) {
	bad := func(reason, proxy, detail string) (failure, bool) {
		return failure{http.StatusBadGateway, reason, proxy, detail + "; the request was not sent"}, true
	}
	certificate := func(detail string) (failure, bool) {
		return bad("certificate", "tls_certificate_error", "the origin's certificate "+detail)
	}
	if revoked, ok := errors.AsType[*revokedError](err); ok {
		return certificate("was revoked on " + day(revoked.at))
	}
	if wrong, ok := errors.AsType[x509.HostnameError](err); ok {
		return certificate("is not for " + quoteName(wrong.Host))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return certificate("was not issued by an authority that this gateway trusts")
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired && invalid.Cert != nil {
			return certificate(validity(invalid.Cert, time.Now()))
		}
		return certificate("may not be used for this host")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate("cannot be verified")
	}
	// An alert is an error of no exported type, in one of these two.
	if alert, ok := errors.AsType[*net.OpError](err); ok && (alert.Op == "remote error" || alert.Op == "local error") {
		return bad("tls", "tls_alert_received", fmt.Sprintf("TLS with the origin failed (%.80s)", alert.Err))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return bad("tls", "tls_protocol_error", "the origin does not speak TLS")
	}
	if strings.HasPrefix(err.Error(), "tls: ") {
		return bad("tls", "tls_protocol_error", "TLS with the origin failed")
	}
	return failure{}, false
}

func validity(c *x509.Certificate, now time.Time) string {
	if now.Before(c.NotBefore) {
		return "is valid only from " + day(c.NotBefore)
	}
	return "expired on " + day(c.NotAfter)
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
