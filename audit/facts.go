package audit

import (
	"net/url"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

// Facts are those that a decision about what was seen rested on. The clock was trusted and the record worked: what was
// refused because they did not is decided again as if they had.
func (s *SeenKey) Facts() policy.Facts {
	f := policy.Facts{
		Client: s.Client, User: s.User, MAC: s.MAC, Stage: policy.StageAuthority, Method: s.Method, Scheme: s.Scheme,
		Authority: s.Host, Port: s.Port, SNI: s.SNI, Hello: s.Hello, ECH: s.ECH,
	}
	switch {
	case s.Kind != "tunnel":
		f.Stage, f.Path = policy.StageRequest, s.Path
		f.Inner = s.Host
		if s.Scheme == "https" && !s.SNI.IsZero() { // decrypted: a request for another host than its hello's is refused
			f.Inner = s.SNI
		}
		f.PathAgain = readAgain(s.Path)
	case s.Hello != policy.HelloUnseen:
		f.Stage = policy.StageHello
	}
	return f
}

// readAgain is how a more lenient server could read a path that was read once: see policy.ReadPath, to which it is given as
// a client would have to write it.
func readAgain(path string) string {
	if !strings.ContainsAny(path, `%\;`) {
		return ""
	}
	same, again, ok := policy.ReadPath((&url.URL{Path: path}).EscapedPath())
	if !ok || same != path {
		return ""
	}
	return again
}
