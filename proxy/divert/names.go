package divert

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// MaxSize bounds the text that [PAC] returns, in bytes. It is what Chromium takes (kDefaultMaxResponseBytes in its
// net/proxy_resolution/pac_file_fetcher_impl.cc); of a larger file it takes nothing.
const MaxSize = 1 << 20

// TooLargeError is the error for more names than a PAC file can hold.
type TooLargeError struct{}

// Error tells the limit.
func (TooLargeError) Error() string {
	return fmt.Sprintf("the names take more than the %d KiB that browsers take of a PAC file", MaxSize>>10)
}

// Names are the hosts that a PAC file sends through the proxy. They do not change once they are made.
type Names struct{ literal string }

// NewNames collects zones, each of which stands for its name and all below it, and hosts, which stand for themselves. All are
// spelled as browsers spell the host of a URL: A-labels in lower case, or, of hosts alone, addresses without brackets. What lies
// in a zone is left out; order and repetition do not matter.
//
// The error is a [TooLargeError], as soon as that is certain, or names the value that is no host.
func NewNames(zones, hosts iter.Seq[string]) (*Names, error) {
	listed := listing{zones: make(map[string]struct{}), hosts: make(map[string]struct{})}
	for name := range zones {
		if !isName(name) {
			return nil, fmt.Errorf("zone %q is not a DNS name in ASCII", name)
		}
		if !listed.add(listed.zones, name) {
			return nil, TooLargeError{}
		}
	}
	for name := range hosts {
		if !isName(name) && !isAddr(name) {
			return nil, fmt.Errorf("host %q is neither a DNS name in ASCII nor an address", name)
		}
		if !listed.within(name) && !listed.add(listed.hosts, name) {
			return nil, TooLargeError{}
		}
	}
	return &Names{listed.literal()}, nil
}

func isAddr(s string) bool {
	addr, err := netip.ParseAddr(s)
	return err == nil && addr.Zone() == ""
}

// listing is names as they come, and about how many bytes they will take.
type listing struct {
	zones, hosts map[string]struct{}
	size         int
}

// add is false if there is no room for the name.
func (l *listing) add(to map[string]struct{}, name string) bool {
	if _, there := to[name]; !there {
		to[name] = struct{}{}
		l.size += len(name) + len(keyed(""))
	}
	return l.size <= MaxSize
}

// within tells whether a name is a zone, or lies in one.
func (l *listing) within(name string) bool {
	for more := true; more; _, name, more = strings.Cut(name, ".") {
		if _, listed := l.zones[name]; listed {
			return true
		}
	}
	return false
}

// literal writes an object with a key for each name, as pac.js looks for them.
func (l *listing) literal() string {
	keys := slices.Collect(maps.Keys(l.hosts))
	for zone := range l.zones {
		if _, above, inner := strings.Cut(zone, "."); !inner || !l.within(above) {
			keys = append(keys, "."+zone)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		return strings.Compare(strings.TrimPrefix(a, "."), strings.TrimPrefix(b, "."))
	})
	for i, key := range keys {
		keys[i] = keyed(key)
	}
	return "{" + strings.Join(keys, ",") + "\n}"
}

// keyed is a name as a key with its value.
func keyed(name string) string { return "\n  " + literal(name) + ": 1" }
