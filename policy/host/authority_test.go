package host

import (
	"errors"
	"testing"
)

var authorities = []struct {
	in   string
	host string
	port uint16
}{
	{"example.com", "example.com", 0},
	{"example.com:443", "example.com", 443},
	{"Example.COM.:80", "example.com", 80},
	{"bücher.example:8080", "xn--bcher-kva.example", 8080},
	{"192.0.2.1", "192.0.2.1", 0},
	{"192.0.2.1:1", "192.0.2.1", 1},
	{"[::1]", "::1", 0},
	{"[::1]:65535", "::1", 65535},
	{"[::ffff:192.0.2.1]:80", "192.0.2.1", 80},
}

var badAuthorities = []struct{ in, reason string }{
	{"", "no host"},
	{":80", "no host"},
	{":", "no host"},
	{"example.com:", "its port is empty"},
	{"[::1]:", "its port is empty"},
	{"example.com:0", "its port is zero"},
	{"example.com:+80", "its port is not plain digits"},
	{"example.com:-1", "its port is not plain digits"},
	{"example.com:080", "its port is written with a leading zero"},
	{"example.com:00", "its port is zero"},
	{"example.com:65536", "its port is larger than 65535"},
	{"example.com:65616", "its port is larger than 65535"},                // 2^16 + 80
	{"example.com:4294967376", "its port is larger than 65535"},           // 2^32 + 80
	{"example.com:18446744073709551696", "its port is larger than 65535"}, // 2^64 + 80
	{"example.com:8O", "its port is not plain digits"},
	{"example.com:0x50", "its port is not plain digits"},
	{"example.com:８０", "its port is not plain digits"},
	{"example.com:80 ", "its port is not plain digits"},
	{"example.com: 80", "its port is not plain digits"},
	{"example.com:80\r\n", "its port is not plain digits"},
	{"example.com :80", "a blank"},
	{"example\x00.com:80", "a control character"},
	{"example.com:http", "its port is not plain digits"},
	{"example.com:80:80", "more than one colon: an IPv6 address needs brackets"},
	{"example.com::80", "more than one colon: an IPv6 address needs brackets"},
	{"::1", "more than one colon: an IPv6 address needs brackets"},
	{"2001:db8::1:443", "more than one colon: an IPv6 address needs brackets"},
	{"[::1]443", `a "[" without a "]" at the end`},
	{"[::1]]:443", "a stray bracket"},
	{"[::1:443", `a "[" without a "]" at the end`},
	{"::1]:443", "more than one colon: an IPv6 address needs brackets"},
	{"[fe80::1%25eth0]:443", percent},
	{"[example.com]:443", notIPv6},
	{"user:secret@example.com", userinfo},
	{"user:secret@example.com:443", userinfo},
	{"user:443@example.com", userinfo},
	{"example.com:443@evil.example:443", userinfo},
	{"http://example.com/", `a "/": a host is named alone, not as a URL`},
	{"http://example.com:80", `a "/": a host is named alone, not as a URL`},
	{"example.com:80/x", `a "/": a host is named alone, not as a URL`},
	{"a..b:80", "an empty label"},
	{"127.1:80", notIPv4},
}

func TestParseAuthority(t *testing.T) {
	t.Parallel()
	for _, c := range authorities {
		n, port, err := ParseAuthority(c.in)
		if err != nil || n.String() != c.host || port != c.port {
			t.Errorf("ParseAuthority(%+q) = %q, %d, %v; want %q, %d", c.in, n, port, err, c.host, c.port)
		}
	}
	for _, c := range badAuthorities {
		n, port, err := ParseAuthority(c.in)
		var e *Error
		if !errors.As(err, &e) || e.Reason != c.reason || e.Kind != "authority" || e.Input != c.in {
			t.Errorf("ParseAuthority(%+q) = %q, %d, %v; want the reason %q", c.in, n, port, err, c.reason)
		}
		if !n.IsZero() || port != 0 {
			t.Errorf("ParseAuthority(%+q) = %q, %d beside its error", c.in, n, port)
		}
	}
}

func TestParsePort(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]uint16{"1": 1, "80": 80, "443": 443, "9999": 9999, "65535": 65535} {
		if got, err := ParsePort(in); got != want || err != nil {
			t.Errorf("ParsePort(%q) = %d, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"":            `port "": empty`,
		"0":           `port "0": zero`,
		"00080":       `port "00080": written with a leading zero`,
		"-1":          `port "-1": not plain digits`,
		"+1":          `port "+1": not plain digits`,
		"65536":       `port "65536": larger than 65535`,
		"65537":       `port "65537": larger than 65535`,
		"4294967377":  `port "4294967377": larger than 65535`,
		"99999999999": `port "99999999999": larger than 65535`,
		"1 ":          `port "1 ": not plain digits`,
		"１":           `port "\uff11": not plain digits`,
	} {
		if got, err := ParsePort(in); got != 0 || err == nil || err.Error() != want {
			t.Errorf("ParsePort(%q) = %d, %v; want %s", in, got, err, want)
		}
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host string
		port uint16
		want string
	}{
		{"example.com", 443, "example.com:443"},
		{"example.com", 0, "example.com"},
		{"192.0.2.1", 80, "192.0.2.1:80"},
		{"::1", 65535, "[::1]:65535"},
		{"::1", 0, "[::1]"},
	} {
		if got := Join(MustParse(c.host), c.port); got != c.want {
			t.Errorf("Join(%q, %d) = %q, want %q", c.host, c.port, got, c.want)
		}
	}
}
