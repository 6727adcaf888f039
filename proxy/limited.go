package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// limitName is the word for a limit, as metrics, the log and answers have it. It is empty where none was met.
type limitName string

const (
	limitConnections limitName = "connections"
	limitClient      limitName = "client"
	limitDestination limitName = "destination"
	limitRate        limitName = "rate"
	limitDescriptors limitName = "descriptors"
	limitLogin       limitName = "login"
)

const (
	// afterRate is when a client may ask again that asked too often: a token comes back within a second at any rate.
	afterRate = time.Second

	// afterFull is when to ask again for a place where all are taken. Any moment one may be free, so it is short; but not so
	// short that those who wait are a load themselves.
	afterFull = 5 * time.Second
)

// limited is what is said of each limit. It is 429 where a client wants too much of one thing, and 503 where the whole
// gateway is full.
var limited = map[limitName]struct {
	status    int
	errorType string // RFC 9209
	detail    string
}{
	limitConnections: {http.StatusServiceUnavailable, "http_request_denied", "as many connections are open as this gateway takes (limits.connections)"},
	limitClient:      {http.StatusTooManyRequests, "http_request_denied", "this client has as many connections open as it may have (limits.per-client)"},
	limitDestination: {http.StatusTooManyRequests, "connection_limit_reached", "this destination has as many connections as it may have (limits.per-destination)"},
	limitRate:        {http.StatusTooManyRequests, "http_request_denied", "this client sends more requests a second than it may send (limits.rate)"},
	limitLogin:       {http.StatusTooManyRequests, "http_request_denied", "this client has sent too many wrong passwords, or too many are being checked"},
	limitDescriptors: {http.StatusServiceUnavailable, "proxy_internal_error", "this gateway has run out of file descriptors"},
}

func (l limitName) refusal() *refusal {
	said := limited[l]
	return &refusal{
		Status: said.status, Title: http.StatusText(said.status), Detail: sentence(said.detail), Error: said.errorType, ID: string(l), Kind: "limit",
	}
}

// limited answers a request that meets a limit.
func (rf *refusals) limited(w http.ResponseWriter, by asker, l limitName) {
	rf.until(l).write(w, by, l.refusal())
}

// until is for answers that ask for a pause as a limit wants it: shorter than after a refusal of the policy, which stays.
func (rf *refusals) until(l limitName) *refusals {
	short := *rf
	short.retryAfter = afterFull
	if l == limitRate {
		short.retryAfter = afterRate
	}
	return &short
}

const (
	// A client that was turned away may still be sending its request. If the connection is closed with that unread, a reset
	// can overtake the answer: so it is read on for a moment. The door holds so many of such connections at a time, and
	// closes others at once.
	doorTime   = 500 * time.Millisecond
	doorBytes  = 64 << 10
	doorPlaces = 64
)

// door turns connections away before a request of theirs was read.
type door struct {
	answers   map[limitName][]byte
	places    chan struct{} // one is in it for each connection that is read on
	lingering sync.WaitGroup
}

func newDoor(rf *refusals) *door {
	d := &door{answers: make(map[limitName][]byte), places: make(chan struct{}, doorPlaces)}
	for l := range limited {
		// Nothing is known of the client yet: it is answered as one that accepts anything.
		response := rf.until(l).response(&http.Request{Method: http.MethodGet}, l.refusal())
		response.Close = true
		var answer bytes.Buffer
		if err := response.Write(&answer); err != nil {
			panic(err) // memory takes what it is given
		}
		_ = response.Body.Close()
		d.answers[l] = answer.Bytes()
	}
	return d
}

// turnAway tells a client which limit it met, and closes its connection. It does not wait for the client.
func (d *door) turnAway(c *net.TCPConn, l limitName) {
	// What is sent first on a connection finds room in the system's buffer: the deadline is for a system that has none left.
	_ = c.SetDeadline(time.Now().Add(doorTime))
	if _, err := c.Write(d.answers[l]); err != nil || c.CloseWrite() != nil {
		_ = c.Close()
		return
	}
	if l != limitDescriptors { // else this one is needed back
		select {
		case d.places <- struct{}{}:
			d.lingering.Go(func() {
				_, _ = io.CopyN(io.Discard, c, doorBytes)
				_ = c.Close()
				<-d.places
			})
			return
		default:
		}
	}
	discardReceived(c)
	_ = c.Close()
}

// wait returns when the last connection is closed, half a second after the last was turned away at the latest. It is called
// when no more are.
func (d *door) wait() { d.lingering.Wait() }
