package hello

import (
	"bytes"
	"slices"
)

// Extensions that are looked into; all others are only counted (RFC 6066, 7301, 8446, 9849).
const (
	extServerName = 0
	extALPN       = 16
	extEarlyData  = 42
	extECH        = 0xfe0d
)

const (
	randomSize    = 32
	maxSessionID  = 32  // RFC 8446, section 4.1.2
	maxServerName = 255 // a DNS name on the wire, RFC 1035, section 2.3.4
	maxALPN       = 16
	maxExtensions = 128 // browsers send about twenty

	nameTypeHost = 0
	echOuter     = 0
)

// parseMessage reads a whole ClientHello message (RFC 8446, section 4.1.2; the same shape since SSL
// 3.0). Lengths must add up at every level, to the last byte.
func parseMessage(message []byte) Info {
	c := cursor(message[messageHead:])
	version, ok := c.uint16()
	if !ok || version>>8 != tlsMajor {
		return unreadable("the version of the hello is not that of TLS")
	}
	if _, ok = c.take(randomSize); !ok {
		return unreadable("the hello ends within its random bytes")
	}
	session, ok := c.vector8()
	if !ok || len(session) > maxSessionID {
		return unreadable("the session id is malformed")
	}
	suites, ok := c.vector16()
	if !ok || len(suites) == 0 || len(suites)%2 != 0 {
		return unreadable("the list of cipher suites is malformed")
	}
	compression, ok := c.vector8()
	if !ok || len(compression) == 0 {
		return unreadable("the list of compression methods is malformed")
	}
	info := Info{Kind: Hello}
	if len(c) == 0 { // before TLS 1.3 extensions may be absent altogether
		return info
	}
	extensions, ok := c.vector16()
	if !ok || len(c) != 0 {
		return unreadable("the length of the extensions is not that of the hello")
	}
	if why := info.parseExtensions(extensions); why != "" {
		return unreadable(why)
	}
	return info
}

// parseExtensions fills info. Any extension that comes twice makes the hello unreadable (RFC 8446,
// section 4.2), since servers differ in which of the two they heed.
func (info *Info) parseExtensions(c cursor) (why string) {
	var store [maxExtensions]uint16
	seen := store[:0]
	for len(c) > 0 {
		kind, _ := c.uint16()
		data, ok := c.vector16()
		if !ok {
			return "an extension is longer than the hello"
		}
		if slices.Contains(seen, kind) {
			return "an extension comes twice"
		}
		if len(seen) == maxExtensions {
			return "there are more than 128 extensions"
		}
		seen = append(seen, kind)
		if why := info.parseExtension(kind, data); why != "" {
			return why
		}
	}
	return ""
}

func (info *Info) parseExtension(kind uint16, data cursor) (why string) {
	switch kind {
	case extServerName:
		return info.parseServerName(data)
	case extALPN:
		return info.parseALPN(data)
	case extEarlyData:
		if len(data) != 0 {
			return "the early data extension is not empty"
		}
		info.EarlyData = true
	case extECH:
		if len(data) == 0 {
			return "the encrypted hello extension is empty"
		}
		info.ECH = data[0] == echOuter
	}
	return ""
}

// parseServerName wants exactly one entry, a host_name. RFC 6066 allows other types beside it but
// none was ever defined, and servers disagree on what to make of such a list.
func (info *Info) parseServerName(data cursor) (why string) {
	list, ok := data.vector16()
	if !ok || len(data) != 0 {
		return "the server name extension is malformed"
	}
	kind, _ := list.uint8()
	name, ok := list.vector16()
	switch {
	case !ok:
		return "the server name list is malformed"
	case len(list) != 0:
		return "the server name list has more than one entry"
	case kind != nameTypeHost:
		return "the server name is of an unknown type"
	case len(name) == 0:
		return "the server name is empty"
	case len(name) > maxServerName:
		return "the server name is longer than 255 bytes"
	case bytes.IndexByte(name, 0) >= 0:
		return "the server name holds a NUL byte"
	}
	info.ServerName = string(name)
	return ""
}

// parseALPN cuts all protocols out of one string, so that a list costs two allocations.
func (info *Info) parseALPN(data cursor) (why string) {
	list, ok := data.vector16()
	if !ok || len(data) != 0 || len(list) == 0 {
		return "the protocol list extension is malformed"
	}
	count := 0
	for rest := list; len(rest) > 0; count++ {
		if name, ok := rest.vector8(); !ok || len(name) == 0 {
			return "the protocol list is malformed"
		}
	}
	info.ALPN = make([]string, min(count, maxALPN))
	text := string(list)
	for i := range info.ALPN {
		end := 1 + int(text[0])
		info.ALPN[i], text = text[1:end], text[end:]
	}
	return ""
}

// cursor is what is left to read. Its methods take from the front; once one has failed, what is
// left no longer matters.
type cursor []byte

func (c *cursor) take(n int) (cursor, bool) {
	if len(*c) < n {
		return nil, false
	}
	taken := (*c)[:n]
	*c = (*c)[n:]
	return taken, true
}

func (c *cursor) uint8() (int, bool) {
	b, ok := c.take(1)
	if !ok {
		return 0, false
	}
	return int(b[0]), true
}

func (c *cursor) uint16() (uint16, bool) {
	b, ok := c.take(2)
	if !ok {
		return 0, false
	}
	return uint16(b[0])<<8 | uint16(b[1]), true
}

// vector8 takes a vector whose length is in one byte, vector16 in two (RFC 8446, section 3.4).
func (c *cursor) vector8() (cursor, bool) {
	n, ok := c.uint8()
	if !ok {
		return nil, false
	}
	return c.take(n)
}

func (c *cursor) vector16() (cursor, bool) {
	n, ok := c.uint16()
	if !ok {
		return nil, false
	}
	return c.take(int(n))
}
