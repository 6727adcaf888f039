package devices

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

// maxName is the length of a device's name that is kept: that of the longest host name.
const maxName = 253

// tenYears, in seconds, tells the time of an end from the length of a lease: a dnsmasq for machines without a clock writes that.
const tenYears = 10 * 365 * 24 * 3600

// dnsmasqLine takes a line of dnsmasq's file (dhcp_leases in its lease.c): "expiry mac address name client-id", for DHCPv6 "expiry iaid
// address name duid", and "duid DUID" for the server itself. A "*" is what is not known. It is false for anything else.
func (in *intake) dnsmasqLine(line string) bool {
	f := strings.Fields(line)
	if len(f) == 2 && f[0] == "duid" {
		return true
	}
	if len(f) < 4 {
		return false
	}
	until, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil || until < 0 {
		return false
	}
	addr, err := netip.ParseAddr(f[2])
	if err != nil || addr.Zone() != "" {
		return false
	}
	if until < tenYears { // 0 is no end
		until = never
	}
	l := lease{name: nameOf(f[3]), until: until}
	switch {
	case addr.Is4():
		l.mac = macOf(f[1]) // none of what has the kind of another hardware in front, "06-00:16:3e:aa:bb:cc"
	case len(f) > 4:
		l.mac = macOfDUID(f[4])
	}
	in.add(addr.Unmap(), l)
	return true
}

// keaColumns are the places of what is needed in a line of Kea's file, -1 for what it does not have.
type keaColumns struct{ address, hwaddr, duid, lifetime, expire, kind, length, hostname, state int }

// keaHeader has lines taken as those of Kea if this, the first, names the columns of such a file. It is false for any other.
func (in *intake) keaHeader(line string, take *func(string) bool) bool {
	c := keaColumnsOf(line)
	if c != nil {
		*take = func(line string) bool { return in.keaLine(c, line) }
	}
	return c != nil
}

// keaColumnsOf reads the first line of Kea's file; it is nil for any other.
func keaColumnsOf(line string) *keaColumns {
	names := strings.Split(line, ",")
	column := func(name string) int {
		for i := range names {
			if names[i] == name {
				return i
			}
		}
		return -1
	}
	c := &keaColumns{
		column("address"), column("hwaddr"), column("duid"), column("valid_lifetime"), column("expire"), column("lease_type"), column("prefix_len"),
		column("hostname"), column("state"),
	}
	if c.address < 0 || c.expire < 0 || c.hwaddr < 0 && c.duid < 0 {
		return nil
	}
	return c
}

// keaLine takes a line of Kea's memfile, of DHCPv4 or of DHCPv6. Nothing in it is quoted: a comma is spelled out where a text holds
// one. It is false for what is none.
func (in *intake) keaLine(c *keaColumns, line string) bool {
	f := strings.Split(line, ",")
	field := func(i int) string {
		if i < 0 || i >= len(f) {
			return ""
		}
		return f[i]
	}
	addr, err := netip.ParseAddr(field(c.address))
	if err != nil || addr.Zone() != "" {
		return false
	}
	until, err := strconv.ParseInt(field(c.expire), 10, 64)
	if err != nil {
		return false
	}
	const delegated = "2" // a prefix, which is behind a router
	if field(c.kind) == delegated {
		return true
	}
	// A lease of no lifetime was deleted; one of another state was declined, or has been taken back.
	if field(c.lifetime) == "0" || field(c.state) != "0" && field(c.state) != "" {
		until = 0
	}
	l := lease{mac: macOf(field(c.hwaddr)), name: nameOf(unescape(field(c.hostname))), until: until}
	if l.mac == "" {
		l.mac = macOfDUID(field(c.duid))
	}
	in.add(addr.Unmap(), l)
	return true
}

// unescape reads Kea's way to write a character that would end a field: "&#x2c".
func unescape(s string) string {
	before, rest, found := strings.Cut(s, "&#x")
	if !found {
		return s
	}
	var b strings.Builder
	for ; found; before, rest, found = strings.Cut(rest, "&#x") {
		b.WriteString(before)
		if c, err := hex.DecodeString(rest[:min(2, len(rest))]); err == nil && len(c) == 1 {
			b.Write(c)
			rest = rest[2:]
		} else {
			b.WriteString("&#x")
		}
	}
	return b.String() + before
}

// nameOf is a host name as a client gave it; the audit writes it so that it does no harm.
func nameOf(s string) string {
	s = strings.TrimSuffix(strings.ToValidUTF8(s, "?"), ".")
	if s == "*" || len(s) > maxName {
		return ""
	}
	return strings.Clone(s) // not with the line that it is a part of
}

// macOf is a MAC address in its canonical form; empty for what is none of a single Ethernet device.
func macOf(s string) string {
	text, err := host.ParseMAC(s)
	if err != nil {
		return ""
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil {
		return ""
	}
	return textOf(b)
}

// macOfDUID is the MAC address in a DUID (RFC 8415, section 11) of a kind that has one: of link-layer address plus time, or of
// link-layer address. It is that of one of the device's interfaces, and mostly the one that asks.
func macOfDUID(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) < 4 || b[0] != 0 || b[2] != 0 || b[3] != 1 { // the hardware is Ethernet
		return ""
	}
	switch b[1] {
	case 1:
		return textOf(b[min(8, len(b)):])
	case 3:
		return textOf(b[4:])
	}
	return ""
}
