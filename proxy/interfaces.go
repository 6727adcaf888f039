package proxy

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// interfacesMaxAge is how old the list of interfaces may be before something that it does not hold makes it be read again, where the
// system does not tell that it has changed. A stranger who asks for what is not there costs one reading in that time.
const interfacesMaxAge = 30 * time.Second

// interfaces knows the addresses of this machine and the networks at its inner side. It is read again when the system tells of a
// change (Linux does), and when it is old and asked for something that it does not hold. It is safe for concurrent use.
type interfaces struct {
	read    func() ([]link, error) // tells the interfaces as they are
	changed func() bool            // tells whether they have changed since it was last called; called once before the first reading

	mu   sync.Mutex
	asOf time.Time
	list []link
}

// link is one network interface.
type link struct {
	name         string
	index        int
	up           bool
	loopback     bool
	pointToPoint bool
	prefixes     []netip.Prefix // its addresses, each with the length of its network; IPv4 unmapped
}

func newInterfaces() *interfaces {
	return &interfaces{read: readLinks, changed: new(linkWatch).changed}
}

// own reports whether an address, without a zone, is one of this machine's.
func (i *interfaces) own(addr netip.Addr) bool {
	return i.find(func(l *link) bool {
		return slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Addr() == addr })
	})
}

// onLink reports whether an address lies in a network that an inner interface is attached to. A link-local address needs
// its zone, since it means something on one interface only.
func (i *interfaces) onLink(addr netip.Addr) bool {
	zone := addr.Zone()
	bare := addr.WithZone("")
	return i.find(func(l *link) bool {
		if !l.inner() || bare.IsLinkLocalUnicast() && bare.Is6() && zone != l.name {
			return false
		}
		return slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Contains(bare) && !tooWide(p) })
	})
}

// neighbours lists the links in a network of which an address lies, without its zone, if they are inner ones or serve tells so of
// the network.
func (i *interfaces) neighbours(addr netip.Addr, serves func(network netip.Prefix) bool) (indexes []int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refresh(true)
	for n := range i.list {
		l := &i.list[n]
		on := func(p netip.Prefix) bool {
			return p.Contains(addr) && !tooWide(p) && (l.inner() || serves(p))
		}
		if l.up && !l.loopback && !l.pointToPoint && slices.ContainsFunc(l.prefixes, on) {
			indexes = append(indexes, l.index)
		}
	}
	return indexes
}

// find reports whether a link fits.
func (i *interfaces) find(fits func(*link) bool) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refresh(false)
	known := func() bool {
		return slices.ContainsFunc(i.list, func(l link) bool { return fits(&l) })
	}
	return known() || i.refresh(true) && known()
}

// refresh reads the list again if it has changed, or, where that is asked for, if it is old. It reports whether it did. Where reading
// fails, what was known stays.
func (i *interfaces) refresh(old bool) bool {
	now := time.Now()
	old = old && (i.asOf.IsZero() || now.Sub(i.asOf) >= interfacesMaxAge)
	if !i.changed() && !old {
		return false
	}
	i.asOf = now
	list, err := i.read()
	if err == nil {
		i.list = list
	}
	return err == nil
}

// inner reports whether an interface faces the networks that this gateway serves. It must show so, because a mistake makes
// an open proxy: it is up, neither loopback nor point-to-point (a dialled line, a tunnel), has a private IPv4 or a unique
// local IPv6 address, and no IPv4 address that is public or shared with other customers of a carrier (100.64.0.0/10).
//
// So the global IPv6 network of a home counts, and the one between a gateway and its provider does not. An operator whose
// inner network has public IPv4 addresses, or global IPv6 alone, lists it.
func (l *link) inner() bool {
	if !l.up || l.loopback || l.pointToPoint {
		return false
	}
	private := false
	for _, p := range l.prefixes {
		switch a := p.Addr(); {
		case a.IsPrivate():
			private = true
		case a.Is4() && !a.IsLinkLocalUnicast():
			return false
		}
	}
	return private
}

// tooWide refuses a network that no single link has, such as the /0 or /3 of a mistaken netmask.
func tooWide(p netip.Prefix) bool {
	return p.Addr().Is6() && !p.Addr().IsLinkLocalUnicast() && p.Bits() < 48 || p.Bits() < 8
}

// readLinks asks the system. An interface that goes away while it is read is left out.
func readLinks() ([]link, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	links := make([]link, 0, len(all))
	for i := range all {
		addrs, err := all[i].Addrs()
		if err != nil {
			continue
		}
		l := link{
			name:         all[i].Name,
			index:        all[i].Index,
			up:           all[i].Flags&net.FlagUp != 0,
			loopback:     all[i].Flags&net.FlagLoopback != 0,
			pointToPoint: all[i].Flags&net.FlagPointToPoint != 0,
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				l.prefixes = append(l.prefixes, p)
			}
		}
		links = append(links, l)
	}
	return links, nil
}
