package certs

import (
	"crypto/tls"
	"slices"
	"time"
)

// nameMark begins the entry of a session that holds the server name it began with.
const nameMark = "gracegate server name: "

// tickets seals and opens session tickets. The keys are those of a configuration that is never served: crypto/tls makes
// them and changes them daily, but keeps them for one configuration alone, and a proxy needs many.
type tickets struct {
	keys *tls.Config
}

func newTickets(now func() time.Time) tickets {
	return tickets{keys: &tls.Config{MinVersion: tls.VersionTLS12, Time: now}}
}

func (t tickets) wrap(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
	session.Extra = append(session.Extra, []byte(nameMark+state.ServerName))
	return t.keys.EncryptTicket(state, session)
}

// unwrap returns nil, which means a full handshake, for a ticket that is not ours, too old, or of another name: RFC
// 6066, section 3 forbids to resume under another one, and crypto/tls does not look.
func (t tickets) unwrap(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
	session, err := t.keys.DecryptTicket(ticket, state)
	if session == nil || err != nil {
		return nil, err
	}
	want := nameMark + state.ServerName
	if !slices.ContainsFunc(session.Extra, func(extra []byte) bool { return string(extra) == want }) {
		return nil, nil
	}
	return session, nil
}
