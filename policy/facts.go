package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// Facts is what is known of a flow when a decision is asked for. Absent facts are zero.
type Facts struct {
	Client netip.Addr // mapped IPv4 is unmapped by Decide
	User   string
	MAC    string // canonical: lower case, colons
	Stage  Stage
	Method string
	Scheme string // http or https; socks5 for a tunnel that was asked for by that

	Authority host.Name // of the request target, the CONNECT target, or where the packets of a Transparent flow went
	Port      uint16

	// Transparent: nobody named the authority. It is an address that a client dialled who knows of no proxy, taken by a packet
	// filter on its way there.
	Transparent bool

	SNI       host.Name
	Hello     Hello
	ECH       bool   // the hello carries an encrypted inner hello, or GREASE that looks like one
	ALPN      string // what the client offers, comma-separated; recorded, not judged
	Inner     host.Name
	Path      string // as ReadPath reads it; empty: not seen
	PathAgain string // as a more lenient server could read it: the stricter of both counts; empty: likewise

	Clock  ClockState
	Record RecordState
}

// Hello says what became of the ClientHello.
type Hello uint8

const (
	HelloUnseen     Hello = iota // not looked for yet
	HelloWithName                // read, and names a server
	HelloNoName                  // read, and names none
	HelloNotTLS                  // the client speaks something else
	HelloUnreadable              // TLS by its first bytes, but malformed, over-long, unfinished or ambiguous
)

func (h Hello) String() string { return word(helloWords, h) }

var helloWords = []string{"", "present", "absent", "not-tls", "unreadable"}

// ParseHello reads the word of a Hello back. It is false for any other.
func ParseHello(s string) (Hello, bool) { return parseWord[Hello](helloWords, s) }

// ClockState tells whether the policy clock can be believed.
type ClockState uint8

const (
	ClockTrusted ClockState = iota
	ClockUntrusted
)

func (c ClockState) String() string { return word([]string{"trusted", "untrusted"}, c) }

// RecordState tells whether decisions are being recorded.
type RecordState uint8

const (
	RecordWorks RecordState = iota
	RecordFails
)

// ReadPath reads the path of a request, raw as it came, as a server would that keeps to the rules: that is its one canonical
// form, see cleanPath. again is how a more lenient server could read it, see match.ReadAgain: decoded once more, with backslashes
// as slashes and without path parameters. It is empty where that makes no difference, as for nearly all. ok is false for a path
// that cannot be read, or in more ways than these two.
func ReadPath(raw string) (path, again string, ok bool) {
	if path, ok = cleanPath(raw); !ok {
		return "", "", false
	}
	if again, ok = match.ReadAgain(path); !ok {
		return "", "", false
	}
	return path, again, true
}

// cleanPath is the one canonical form of a request path, as match.CleanPath makes it: decoded once, dot segments and double
// slashes resolved, without query. It is false for a path that cannot be decoded, and for one that two readers could take for
// different ones: with "..", it matters whether an encoded slash is one, and whether an empty segment is one (RFC 3986, section
// 5.2.4, says it is; many servers merge slashes first).
func cleanPath(raw string) (string, bool) {
	path, _, _ := strings.Cut(raw, "?")
	if path, _, _ = strings.Cut(path, "#"); strings.Contains(path, "..") || strings.Contains(path, "%2") {
		path = plainDots.Replace(path)
		climbs := slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return strings.TrimPrefix(s, "\x00") == ".." })
		if climbs && (strings.Contains(path, "/\x00") || strings.Contains(path, "//")) {
			return "", false
		}
	}
	return match.CleanPath(raw)
}

// plainDots decodes what matters for dot segments, and marks each slash that was encoded.
var plainDots = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/\x00", "%2F", "/\x00")
