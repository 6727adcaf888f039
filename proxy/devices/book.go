package devices

import (
	"cmp"
	"net/netip"
	"time"
)

// lease is what a DHCP server says of an address.
type lease struct {
	mac, name string // empty: not known
	until     int64  // when it ends, in seconds since 1970
}

// never is the end of a lease that has none.
const never = 1<<63 - 1

// book is what all lease files say, by address and by device. It does not change any more.
type book struct {
	leases map[netip.Addr]lease
	names  map[string]lease // by MAC address: the named lease that ends last
}

func newBook(leases map[netip.Addr]lease) *book {
	b := &book{leases: leases, names: make(map[string]lease)}
	for _, l := range leases {
		if l.mac == "" || l.name == "" {
			continue
		}
		best, ok := b.names[l.mac]
		if !ok || cmp.Or(cmp.Compare(l.until, best.until), cmp.Compare(l.name, best.name)) > 0 {
			b.names[l.mac] = l
		}
	}
	return b
}

// device tells the MAC address and the name of the device behind an address. mac is that of the neighbour, if there is one: then
// a lease for another is stale.
func (b *book) device(addr netip.Addr, mac string, now time.Time) (_, name string) {
	at := now.Unix()
	if l, ok := b.leases[addr]; ok && at < l.until && (mac == "" || l.mac == "" || l.mac == mac) {
		mac, name = cmp.Or(mac, l.mac), l.name
	}
	if name == "" && mac != "" {
		if l := b.names[mac]; at < l.until {
			name = l.name
		}
	}
	return mac, name
}
