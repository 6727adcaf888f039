package proxy

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
)

// DialError says why a host could not be reached. Its text holds no address that the client did not name itself, nor that of
// a resolver, so that it may be shown to clients; the error beneath, and Detail, are for the log.
type DialError struct {
	// Reason is the label of the cause in metrics: "dns" (the name does not resolve, or not in time), "timeout" (no
	// connection in time), "refused", "unreachable", "reset", "canceled" (the client went away first), "parent" (it could not be
	// reached, or gave no answer), "parent-refused" (it answered with another status than 2xx) or "other".
	Reason string

	target  string // empty: the parent
	text    string
	timeout bool
	err     error
}

// Error returns text such as "example.com:443: connection refused".
func (e *DialError) Error() string { return strings.TrimPrefix(e.target+": "+e.text, ": ") }

// Unwrap returns the system's error, with the addresses in it.
func (e *DialError) Unwrap() error { return e.err }

// Detail returns the text with the system's error.
func (e *DialError) Detail() string { return e.Error() + ": " + e.err.Error() }

// Timeout reports whether time ran out, for the connection or for the look-up.
func (e *DialError) Timeout() bool { return e.timeout }

// lookupError marks an error of the resolver, which may look like any error of a connection.
type lookupError struct{ err error }

func (e *lookupError) Error() string { return e.err.Error() }
func (e *lookupError) Unwrap() error { return e.err }

// dialError makes a typed error of what went wrong under ctx, the context of the whole Dial.
func dialError(ctx context.Context, target string, err error) error {
	if guard, ok := errors.AsType[*GuardError](err); ok {
		return guard
	}
	e := &DialError{Reason: "other", target: target, text: "no connection", err: err}
	e.timeout = errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	var parent *parentError
	var lookup *lookupError
	var dns *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Reason, e.text = "canceled", "given up"
	case errors.As(err, &parent):
		e.Reason, e.text = parent.reason(), parent.Error()
	case errors.As(err, &lookup) && errors.As(err, &dns) && dns.IsNotFound:
		e.Reason, e.text = "dns", "the name does not exist or has no address"
	case errors.As(err, &lookup):
		e.Reason, e.text = "dns", "the name could not be resolved"
		e.timeout = e.timeout || dns != nil && dns.IsTimeout
	case e.timeout, errors.Is(err, syscall.ETIMEDOUT):
		e.Reason, e.text, e.timeout = "timeout", "no connection in time", true
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Reason, e.text = "refused", "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		e.Reason, e.text = "reset", "connection reset"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETDOWN):
		e.Reason, e.text = "unreachable", "no route"
	}
	return e
}
