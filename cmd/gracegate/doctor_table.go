package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/proxy/divert"
)

// loadedTable is what the kernel has of the rules that gracegate nft prints.
type loadedTable struct {
	inner      []string       // interfaces
	ipv4, ipv6 netip.AddrPort // where connections are sent; an unspecified address if the rule has none
	tproxy     bool
	quic, dns  bool // are refused
}

// loadTable asks nft. Without a table both results are nil.
func (x *examination) loadTable() (*loadedTable, error) {
	if x.system != "linux" {
		return nil, errors.ErrUnsupported
	}
	out, err := x.run("nft", "-j", "list", "table", "inet", divert.NFTTable)
	switch {
	case err == nil:
		return readTable(out)
	case strings.HasSuffix(err.Error(), "No such file or directory"): // nft's words for ENOENT
		return nil, nil
	}
	return nil, err
}

// ruleset is JSON of nft (libnftables-json(5)), as far as it matters.
type ruleset struct {
	Nftables []struct {
		Set *struct {
			Name string
			Elem []json.RawMessage
		}
		Rule *struct {
			Chain string
			Expr  []map[string]json.RawMessage
		}
	}
}

func readTable(text string) (*loadedTable, error) {
	var all ruleset
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("what nft says cannot be read: %w", err)
	}
	t := &loadedTable{}
	for _, object := range all.Nftables {
		switch {
		case object.Set != nil && object.Set.Name == "inner":
			for _, elem := range object.Set.Elem {
				var name string
				if json.Unmarshal(elem, &name) == nil {
					t.inner = append(t.inner, name)
				}
			}
		case object.Rule != nil:
			t.take(object.Rule.Chain, object.Rule.Expr)
		}
	}
	slices.Sort(t.inner)
	return t, nil
}

// take reads a rule by its chain, as the template of divert has them.
func (t *loadedTable) take(chain string, expr []map[string]json.RawMessage) {
	if chain == "resolver" {
		t.dns = true
	}
	to := &t.ipv4
	anywhere := netip.IPv4Unspecified()
	for _, statement := range expr {
		for kind, body := range statement {
			text := string(body)
			switch {
			case kind == "match" && strings.Contains(text, `"ipv6"`):
				to, anywhere = &t.ipv6, netip.IPv6Unspecified()
			case kind == "match" && strings.Contains(text, `"udp"`) && strings.Contains(text, "443"):
				t.quic = t.quic || chain == "outward"
			case kind == "redirect", kind == "dnat", kind == "tproxy":
				var where struct {
					Addr string
					Port uint16
				}
				if json.Unmarshal(body, &where) != nil {
					continue
				}
				addr, err := netip.ParseAddr(where.Addr)
				if err != nil {
					addr = anywhere
				}
				*to = netip.AddrPortFrom(addr, where.Port)
				t.tproxy = t.tproxy || kind == "tproxy"
			}
		}
	}
}

// destinationOf shows where connections of a family are sent.
func destinationOf(at netip.AddrPort) string {
	switch {
	case !at.IsValid():
		return "nowhere, they are refused"
	case at.Addr().IsUnspecified():
		return fmt.Sprintf("port %d", at.Port())
	}
	return at.String()
}

const loadRules = "gracegate nft --interface NAME --block-quic --force-dns | nft -f -, and at each start"

func checkTable(x *examination) finding {
	table, err := x.table()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return skips("install nftables", "nft is not installed, so that the rules cannot be seen")
	case err != nil && x.uid != 0:
		return skips("run doctor as root", "only root may see the rules: %s", err)
	case err != nil:
		return skips("", "the rules cannot be seen: %s", err)
	case table == nil:
		return fails(loadRules, "there is no table inet %s: nothing is sent to listen.transparent", divert.NFTTable)
	case len(x.cfg.Listen.Transparent) == 0:
		return fails(fmt.Sprintf("listen.transparent: [%q], or gracegate nft --remove | nft -f -", usualTransparent),
			"connections are sent to %s, but listen.transparent is not set", destinationOf(table.ipv4))
	}
	ipv4, ipv6 := divertTo(x.cfg.Listen.Transparent, table.tproxy)
	for _, family := range []struct {
		name      string
		is, wants netip.AddrPort
	}{{"IPv4", table.ipv4, ipv4}, {"IPv6", table.ipv6, ipv6}} {
		if family.is != family.wants {
			return fails(loadRules, "connections over %s are sent to %s, and listen.transparent calls for %s", family.name, destinationOf(family.is), destinationOf(family.wants))
		}
	}
	how := "redirected"
	if table.tproxy {
		how = "handed over by TPROXY"
	}
	return passes("what comes in on %s is %s: IPv4 to %s, IPv6 to %s", strings.Join(table.inner, ", "), how, destinationOf(table.ipv4), destinationOf(table.ipv6))
}

// noTable is the finding of a check that needs the table, where there is none to be seen; its status is empty if there is.
func (x *examination) noTable() (*loadedTable, finding) {
	table, err := x.table()
	if err != nil || table == nil {
		return nil, skips("", "there are no rules to be seen")
	}
	return table, finding{}
}

func checkInterfaces(x *examination) finding {
	table, none := x.noTable()
	if table == nil {
		return none
	}
	var missing []string
	for _, name := range table.inner {
		if !slices.Contains(x.interfaces(), name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return warns("ip link show lists them; gracegate nft --interface NAME", "the rules are for %s, and there is no interface of that name", strings.Join(missing, ", "))
	}
	return passes("%s", strings.Join(table.inner, ", "))
}

// interfaces returns the names of the interfaces.
func (m *machine) interfaces() []string {
	text, err := m.read("/proc/net/dev")
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(text) {
		if name, _, is := strings.Cut(line, ":"); is {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

func checkQUIC(x *examination) finding {
	table, none := x.noTable()
	switch {
	case table == nil:
		return none
	case !table.quic:
		return warns("gracegate nft --block-quic", "UDP 443 leaves past the gateway: over QUIC, clients reach what is blocked over TCP")
	}
	return passes("UDP 80 and 443 is refused")
}

func checkDNS(x *examination) finding {
	table, none := x.noTable()
	switch {
	case table == nil:
		return none
	case !table.dns:
		return warns("gracegate nft --force-dns", "public resolvers can be asked past the local one")
	}
	return passes("well-known public resolvers are refused")
}
