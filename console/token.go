package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	freeFailures = 5           // wrong tokens that a client may send at once
	perFailure   = time.Second // and then one in this time
	throttled    = 1024        // clients whose failures are remembered
	wholeHost    = 64          // bits of an IPv6 address that one host can hardly have more of
	realm        = `Bearer realm="gracegate"`
)

// token asks for a bearer token (RFC 6750), and slows down clients that guess.
type token struct {
	digest [sha256.Size]byte

	mu sync.Mutex
	// By client, the instant at which its failures are forgotten: each puts it off by perFailure.
	forgotten *simplelru.LRU[netip.Prefix, time.Time]
}

func newToken(secret string) *token {
	forgotten, err := simplelru.NewLRU[netip.Prefix, time.Time](throttled, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &token{digest: sha256.Sum256([]byte(secret)), forgotten: forgotten}
}

// admits answers the request and returns false, unless it carries the token.
func (t *token) admits(w http.ResponseWriter, r *http.Request) bool {
	right, wait := t.try(r, time.Now())
	switch {
	case wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		refuse(w, http.StatusTooManyRequests, "too many wrong tokens from this address: wait before the next")
		return false
	case !right:
		w.Header().Set("WWW-Authenticate", realm)
		refuse(w, http.StatusUnauthorized, "the token of admin.token-file is needed, as Authorization: Bearer TOKEN")
		return false
	}
	return true
}

// try reports whether the request carries the token, and how long its client has to wait until that is looked at. One at
// a time, so that a client cannot have many guesses judged at once.
func (t *token) try(r *http.Request, now time.Time) (right bool, wait time.Duration) {
	client := clientOf(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	forgotten, failed := t.forgotten.Get(client)
	if !failed || forgotten.Before(now) {
		forgotten = now
	}
	if wait = forgotten.Sub(now) - (freeFailures-1)*perFailure; wait > 0 {
		return false, wait
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// Digests, since the comparison takes the same time only for texts of one length.
	digest := sha256.Sum256([]byte(given))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(digest[:], t.digest[:]) == 1 {
		return true, 0
	}
	t.forgotten.Add(client, forgotten.Add(perFailure))
	return false, 0
}

func clientOf(r *http.Request) netip.Prefix {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr := remote.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = wholeHost
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
