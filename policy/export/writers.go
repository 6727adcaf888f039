package export

import (
	"fmt"
	"io"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

var formats = map[string]func() writer{
	"adguard": func() writer { return adguard{} },
	"dnsmasq": func() writer { return dnsmasq{} },
	"rpz":     func() writer { return &rpz{} },
	"squid":   func() writer { return &squid{} },
	"nft":     func() writer { return &nft{} },
	"hosts":   func() writer { return hostsFile{} },
}

// put writes to what never fails: the body is kept until the header is known.
func put(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// adguard is the syntax of AdGuard's DNS filtering rules: || for a name and all below it, | for the name alone, @@ for an
// exception, and $important for a rule that an exception does not lift.
type adguard struct{}

func (adguard) comment() string          { return "!" }
func (adguard) begin(io.Writer, *Result) {}
func (adguard) end(io.Writer, *Result)   {}

func (adguard) entry(w io.Writer, e *Entry) string {
	if e.Name.IsAddr() {
		return e.Name.String() + ": an address"
	}
	prefix, suffix := "|", ""
	if e.Zone {
		prefix = "||"
	}
	if !e.Block {
		prefix = "@@" + prefix
	}
	switch {
	case e.Depth > 3:
		return e.Name.String() + ": too many exceptions within exceptions"
	case e.Depth > 1:
		suffix = "$important"
	}
	put(w, "%s%s^%s\n", prefix, e.Name, suffix)
	return ""
}

// dnsmasq answers NXDOMAIN for what has address=/NAME/, and asks its usual servers for server=/NAME/#. The closest name counts, with
// all below it; /*.NAME/ is what lies below alone, and comes before /NAME/ there.
type dnsmasq struct{}

func (dnsmasq) comment() string          { return "#" }
func (dnsmasq) begin(io.Writer, *Result) {}
func (dnsmasq) end(io.Writer, *Result)   {}

func (dnsmasq) entry(w io.Writer, e *Entry) string {
	name := e.Name.String()
	line := func(name string, block bool) {
		if block {
			put(w, "address=/%s/\n", name)
		} else {
			put(w, "server=/%s/#\n", name)
		}
	}
	switch {
	case e.Name.IsAddr():
		return name + ": an address"
	case e.Zone && e.Apart:
		line("*."+name, e.Block)
	case e.Zone || e.Apart:
		line(name, e.Block)
	default:
		line(name, e.Block)
		line("*."+name, !e.Block)
	}
	return ""
}

// rpz is a response policy zone, for BIND, Unbound, Knot and PowerDNS: CNAME . is NXDOMAIN. A wildcard reaches only to the closest
// name that exists in the zone (RFC 4592), so what lies between an entry and the zone around it is written too.
type rpz struct {
	written map[string]bool // names, and with "*." what lies below them
}

func (*rpz) comment() string { return ";" }

func (z *rpz) begin(w io.Writer, r *Result) {
	put(w, "$TTL 300\n@ IN SOA localhost. hostmaster.localhost. (%d 300 60 86400 300)\n@ IN NS localhost.\n", serial(r.Since))
	z.written = make(map[string]bool)
	for i := range r.Entries { // so that nothing is written before its own entry
		e := &r.Entries[i]
		z.written[e.Name.String()] = true
		if e.Zone {
			z.written["*."+e.Name.String()] = true
		}
	}
}

func (*rpz) end(io.Writer, *Result) {}

// maxRPZ leaves room for the name of the zone that the file is loaded as.
const maxRPZ = 180

func (z *rpz) entry(w io.Writer, e *Entry) string {
	switch {
	case e.Name.IsAddr():
		return e.Name.String() + ": an address"
	case len(e.Name.String()) > maxRPZ:
		return e.Name.String() + ": too long a name for a zone"
	}
	if !e.Zone || !e.Apart { // a name has one CNAME, that of the host
		put(w, "%s CNAME %s\n", e.Name, rpzTarget(e.Block))
	}
	if e.Zone {
		put(w, "*.%s CNAME %s\n", e.Name, rpzTarget(e.Block))
	}
	if e.Within.IsZero() {
		return ""
	}
	if !e.Zone {
		z.fill(w, "*."+e.Name.String(), !e.Block)
	}
	for n, ok := e.Name.Parent(); ok && n != e.Within && n.Within(e.Within); n, ok = n.Parent() {
		z.fill(w, n.String(), !e.Block)
		z.fill(w, "*."+n.String(), !e.Block)
	}
	return ""
}

// fill writes what the zone around says of a name that has no entry.
func (z *rpz) fill(w io.Writer, name string, block bool) {
	if !z.written[name] {
		z.written[name] = true
		put(w, "%s CNAME %s\n", name, rpzTarget(block))
	}
}

func rpzTarget(block bool) string {
	if block {
		return "."
	}
	return "rpz-passthru."
}

// squid writes lists of destinations, one for each depth, and refuses what is in an even one and not in the next. With -n it does
// not ask for the name of an address, which whoever owns the address chooses.
type squid struct {
	depth int // of the last entry, from 1 on
}

func (*squid) comment() string          { return "#" }
func (*squid) begin(io.Writer, *Result) {}

func (s *squid) entry(w io.Writer, e *Entry) string {
	s.depth = e.Depth + 1
	name := e.Name.String()
	if addr, ok := e.Name.Addr(); ok && addr.Is6() { // as a URL has it
		name = "[" + name + "]"
	}
	if e.Zone {
		name = "." + name
	}
	put(w, "acl gracegate_%d dstdomain -n %s\n", e.Depth, name)
	return ""
}

func (s *squid) end(w io.Writer, _ *Result) {
	for d := 0; d < s.depth; d += 2 {
		if d+1 < s.depth {
			put(w, "http_access deny gracegate_%d !gracegate_%d\n", d, d+1)
		} else {
			put(w, "http_access deny gracegate_%d\n", d)
		}
	}
}

// nft knows addresses only.
type nft struct{ four, six []string }

func (*nft) comment() string          { return "#" }
func (*nft) begin(io.Writer, *Result) {}

func (n *nft) entry(_ io.Writer, e *Entry) string {
	addr, ok := e.Name.Addr()
	switch {
	case !ok && e.Block:
		return e.Name.String() + ": a name"
	case !ok:
	case addr.Is4():
		n.four = append(n.four, addr.String())
	default:
		n.six = append(n.six, addr.String())
	}
	return ""
}

func (n *nft) end(w io.Writer, _ *Result) {
	set := func(name, kind string, list []string) {
		put(w, "\tset %s {\n\t\ttype %s\n", name, kind)
		if len(list) > 0 {
			put(w, "\t\telements = { %s }\n", strings.Join(list, ", "))
		}
		put(w, "\t}\n")
	}
	put(w, "table inet gracegate_export {}\ndelete table inet gracegate_export\ntable inet gracegate_export {\n")
	set("blocked4", "ipv4_addr", n.four)
	set("blocked6", "ipv6_addr", n.six)
	put(w, "\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n")
	put(w, "\t\tip daddr @blocked4 reject with icmpx admin-prohibited\n\t\tip6 daddr @blocked6 reject with icmpx admin-prohibited\n\t}\n}\n")
}

// hostsFile is that of every system: hosts alone, each with an address that leads nowhere.
type hostsFile struct{}

func (hostsFile) comment() string          { return "#" }
func (hostsFile) begin(io.Writer, *Result) {}

func (hostsFile) entry(w io.Writer, e *Entry) string {
	switch {
	case e.Name.IsAddr():
		return e.Name.String() + ": an address"
	case !e.Block:
		return ""
	case !e.Zone:
		nowhere(w, e.Name)
		return ""
	case !e.Apart:
		nowhere(w, e.Name)
	}
	return e.Name.String() + ": a zone; what lies below it passes, but for the hosts that are listed"
}

func (hostsFile) end(w io.Writer, r *Result) {
	for _, n := range r.Covered {
		nowhere(w, n)
	}
}

func nowhere(w io.Writer, n host.Name) { put(w, "0.0.0.0 %s\n:: %s\n", n, n) }
