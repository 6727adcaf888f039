package host

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error says why a text is no host, authority or port. It is the only type of error of this package.
type Error struct {
	Kind   string // what was to be read: "host", "authority", "port" or "MAC address"
	Input  string // the whole text, as it came
	Reason string // lower case, without a full stop
}

// Error returns one line of ASCII such as `host "a..b": an empty label`. Of a long input it shows the first 100
// bytes, and of what stands before an "@", which may be a password, nothing.
func (e *Error) Error() string {
	shown := e.Input
	if at := strings.LastIndexAny(shown, "@＠"); at >= 0 {
		shown = "***" + shown[at:]
	}
	return e.Kind + " " + quote(shown) + ": " + e.Reason
}

const maxShown = 100

// quote escapes s to printable ASCII, so that a stranger's text cannot forge lines or colours in a log.
func quote(s string) string {
	if len(s) <= maxShown {
		return strconv.QuoteToASCII(s)
	}
	cut := maxShown
	for cut > maxShown-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.QuoteToASCII(s[:cut]) + "... (" + strconv.Itoa(len(s)) + " bytes)"
}
