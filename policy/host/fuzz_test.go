package host

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

var (
	dullLabel  = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)
	dullNumber = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)
)

// dull is the plain predicate beside Parse: is s canonical? It takes "xn--" labels on trust.
func dull(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == "" && !a.Is4In6() && a.String() == s
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if !dullLabel.MatchString(label) {
			return false
		}
	}
	return len(s) <= 253 && !dullNumber.MatchString(labels[len(labels)-1])
}

func FuzzParse(f *testing.F) {
	for _, c := range accepted {
		f.Add(c.in)
	}
	for _, c := range refused {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			if !n.IsZero() {
				t.Errorf("Parse(%+q) = %q beside %v", s, n, err)
			}
			if dull(s) && !strings.Contains(s, acePrefix) {
				t.Errorf("Parse(%+q): %v, but it is canonical", s, err)
			}
			for _, c := range []byte(err.Error()) {
				if c < ' ' || c > '~' {
					t.Errorf("Parse(%+q): the error %q has byte %#x", s, err, c)
				}
			}
			return
		}
		if !dull(n.String()) {
			t.Errorf("Parse(%+q) = %q, which is not canonical", s, n)
		}
		if again, err := Parse(n.String()); err != nil || again != n {
			t.Errorf("Parse(%+q) = %q, and of that %q, %v", s, n, again, err)
		}
		if isASCII(s) && dull(s) && n.String() != s {
			t.Errorf("Parse(%+q) = %q, but it was canonical", s, n)
		}
		if whole, err := lookup.ToASCII(s); !isASCII(s) && (err != nil || strings.TrimSuffix(whole, ".") != n.String()) {
			t.Errorf("Parse(%+q) = %q, but mapped as a whole it is %q, %v", s, n, whole, err)
		}
		a, isAddr := n.Addr()
		if isAddr != n.IsAddr() || isAddr && FromAddr(a) != n {
			t.Errorf("Parse(%+q) = %q: IsAddr %v, Addr %v, %v", s, n, n.IsAddr(), a, isAddr)
		}
		if _, err := netip.ParseAddr(n.String()); isAddr != (err == nil) {
			t.Errorf("Parse(%+q) = %q: IsAddr %v, but netip says %v", s, n, isAddr, err)
		}
		if n.Within(n) == isAddr {
			t.Errorf("Parse(%+q) = %q: within itself %v, address %v", s, n, n.Within(n), isAddr)
		}
		for outer, ok := n.Parent(); ok; outer, ok = outer.Parent() {
			if reread, err := Parse(outer.String()); err != nil || reread != outer || !n.Within(outer) || outer.Within(n) {
				t.Errorf("Parse(%+q) = %q: its outer zone %q does not hold it (%v)", s, n, outer, err)
			}
		}
	})
}

func FuzzParseAuthority(f *testing.F) {
	for _, c := range authorities {
		f.Add(c.in)
	}
	for _, c := range badAuthorities {
		f.Add(c.in)
	}
	for _, c := range accepted {
		f.Add(c.in + ":443")
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, port, err := ParseAuthority(s)
		if err != nil {
			if !n.IsZero() || port != 0 {
				t.Errorf("ParseAuthority(%+q) = %q, %d beside %v", s, n, port, err)
			}
			return
		}
		joined := Join(n, port)
		if again, p, err := ParseAuthority(joined); again != n || p != port || err != nil {
			t.Errorf("ParseAuthority(%+q) = %q, %d; joined to %q it is %q, %d, %v", s, n, port, joined, again, p, err)
		}
		// The dull reading: a port is what follows "host:", and all that was said is host and port.
		host := strings.TrimRight(s, "0123456789")
		if port == 0 {
			host = s
		} else if host = strings.TrimSuffix(host, ":"); s != host+joined[strings.LastIndexByte(joined, ':'):] {
			t.Errorf("ParseAuthority(%+q) = %q, %d: the port is not as it was written", s, n, port)
		}
		if alone, err := Parse(host); err != nil || alone != n {
			t.Errorf("ParseAuthority(%+q) = %q, but Parse(%+q) = %q, %v", s, n, host, alone, err)
		}
	})
}
