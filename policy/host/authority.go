package host

import "strings"

// ParseAuthority reads "host" or "host:port" as a request line, a Host header or a command line has it. IPv6 needs its
// brackets. Port 0 means that none was given; "host:" with an empty port is an error. The error is an [*Error].
func ParseAuthority(s string) (Name, uint16, error) {
	fail := func(reason string) (Name, uint16, error) {
		// A URL or a user name is worth saying before what it does to the port.
		if i := strings.IndexAny(s, "@/"); i >= 0 {
			reason = forbidden(s[i])
		}
		return Name{}, 0, &Error{Kind: "authority", Input: s, Reason: reason}
	}
	hostText, portText, hasPort := cutPort(s)
	if strings.IndexByte(hostText, ':') >= 0 && hostText[0] != '[' {
		return fail("more than one colon: an IPv6 address needs brackets")
	}
	text, reason := canonical(hostText)
	if reason != "" {
		return fail(reason)
	}
	if !hasPort {
		return Name{text}, 0, nil
	}
	port, reason := readPort(portText)
	if reason != "" {
		return fail("its port is " + reason)
	}
	return Name{text}, port, nil
}

// ParsePort reads a port: 1 to 5 digits without sign or leading zero, from 1 to 65535. The error is an [*Error].
func ParsePort(s string) (uint16, error) {
	port, reason := readPort(s)
	if reason != "" {
		return 0, &Error{Kind: "port", Input: s, Reason: reason}
	}
	return port, nil
}

// cutPort splits at the last colon, unless that colon belongs to a bracketed address.
func cutPort(s string) (host, port string, found bool) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || strings.IndexByte(s[colon:], ']') >= 0 {
		return s, "", false
	}
	return s[:colon], s[colon+1:], true
}

func readPort(s string) (port uint16, reason string) {
	if s == "" {
		return 0, "empty"
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, "not plain digits"
		}
		// Stops long before n could wrap.
		if n = n*10 + int(s[i]-'0'); n > 65535 {
			return 0, "larger than 65535"
		}
	}
	switch {
	case n == 0:
		return 0, "zero"
	case s[0] == '0':
		return 0, "written with a leading zero"
	}
	return uint16(n), ""
}
