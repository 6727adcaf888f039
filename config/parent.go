package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"unicode"

	"github.com/gracegate/gracegate/policy/host"
)

// Parent is a proxy that this one goes through. The zero value is none.
type Parent struct {
	Name host.Name
	Port uint16
}

// String returns the proxy as it is written, and "" for none.
func (p Parent) String() string {
	if p.Port == 0 {
		return ""
	}
	return "http://" + host.Join(p.Name, p.Port)
}

// parentURL is the URL of a parent, or nothing.
var parentURL = scalar[Parent]{
	name: "a URL", word: "URL", tags: asText,
	parse:  parseParent,
	format: Parent.String,
	hides:  func(s string) bool { return strings.ContainsRune(s, '@') }, // a password may stand before it
}

func parseParent(s string) (Parent, *wrong) {
	const hint = "write one such as http://proxy.example.org:3128"
	if s == "" {
		return Parent{}, nil
	}
	u, err := url.Parse(s)
	switch {
	case strings.ContainsRune(s, '@'):
		return Parent{}, &wrong{"holds a user", "upstream.parent-auth names the place where user and password are"}
	case err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return Parent{}, &wrong{"is not http://HOST:PORT", hint}
	case u.Scheme != "http":
		return Parent{}, &wrong{"has a scheme other than http", "to a proxy behind TLS there is no way; " + hint}
	}
	name, port, err := host.ParseAuthority(u.Host)
	if err != nil {
		return Parent{}, &wrong{"is not http://HOST:PORT: " + reason(err), hint}
	}
	if port == 0 {
		return Parent{}, &wrong{"has no port", hint}
	}
	return Parent{name, port}, nil
}

// The places of a secret.
const (
	inFile        = "file:"
	inEnvironment = "env:"
)

// secretPlace is where a secret is. The secret itself may have been written there, so no value is shown.
var secretPlace = scalar[string]{
	name: "file:PATH or env:NAME", word: "place", tags: asText,
	parse:  parsePlace,
	format: anyText.format,
	hides:  func(string) bool { return true },
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func parsePlace(s string) (string, *wrong) {
	if s == "" {
		return "", nil
	}
	if name, ok := strings.CutPrefix(s, inEnvironment); ok {
		switch {
		case !variableName.MatchString(name):
			return "", &wrong{"names no variable behind env:", "write one such as env:PARENT_LOGIN"}
		case strings.HasPrefix(name, envPrefix):
			return "", &wrong{"names a variable that begins with " + envPrefix + ", as settings do", "choose another such as env:PARENT_LOGIN"}
		}
		return s, nil
	}
	name, ok := strings.CutPrefix(s, inFile)
	if name == "" || !ok && strings.ContainsRune(s, ':') {
		return "", &wrong{"is neither file:PATH nor env:NAME", "put user:password into a file that only its owner can read, and write file: and its path"}
	}
	if _, bad := fileName.parse(name); bad != nil {
		return "", bad
	}
	return inFile + name, nil
}

// ParentLogin reads the user and the password for the parent; both are empty if no place is set. A file must be regular, of at most
// 4 KiB, without any permission for group or others. Either holds user:password on one line. The error is a [Problem] and shows neither.
func (u Upstream) ParentLogin() (user, password string, err error) {
	if u.ParentAuth == "" {
		return "", "", nil
	}
	var text string
	var bad *wrong
	if name, ok := strings.CutPrefix(u.ParentAuth, inEnvironment); ok {
		if text, ok = os.LookupEnv(name); !ok {
			bad = &wrong{"names a variable that is not set", ""}
		}
	} else {
		var read []byte
		read, bad = readPrivate(strings.TrimPrefix(u.ParentAuth, inFile))
		text = string(read)
	}
	if bad == nil {
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		var found bool
		user, password, found = strings.Cut(text, ":")
		switch {
		case strings.ContainsFunc(text, unicode.IsControl):
			bad = &wrong{"holds more than one line, or a control character", "it holds user:password alone"}
		case !found || user == "":
			bad = &wrong{"does not hold user:password", "write both on one line, with a colon between"}
		default:
			return user, password, nil
		}
	}
	p := bad.of("", u.ParentAuth)
	p.Key = "upstream.parent-auth"
	return "", "", p
}

// checkParent finds a parent that is this gateway itself. What only a look-up could tell, it does not.
func checkParent(c *Config) Errors {
	p := c.Upstream.Parent
	for _, listen := range c.Listen.Proxy {
		if p.Port != 0 && leadsTo(p, listen) {
			return Errors{{Value: p.String(), Message: quote(p.String()) + " is in listen.proxy: the gateway would go through itself", Hint: "it names another proxy"}}
		}
	}
	return nil
}

func leadsTo(p Parent, listen string) bool {
	at, port, _ := net.SplitHostPort(listen)
	if listens, err := host.ParsePort(port); err != nil || listens != p.Port {
		return false
	}
	to := p.Name.String()
	a, err := netip.ParseAddr(at)
	if everywhere := at == "" || err == nil && a.IsUnspecified(); everywhere {
		b, isAddr := p.Name.Addr()
		return to == "localhost" || isAddr && b.IsLoopback()
	}
	return to == at || to == "localhost" && err == nil && a.IsLoopback()
}

func checkParentAuth(c *Config) Errors {
	if c.Upstream.ParentAuth == "" || c.Upstream.Parent.Port != 0 {
		return nil
	}
	return Errors{{Message: "there is no upstream.parent to log in to", Hint: "set upstream.parent"}}
}
