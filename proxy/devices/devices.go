// Package devices tells which device is behind the address of a client: its MAC address, from the kernel's table of neighbours,
// and its name, from the lease files of DHCP servers.
//
// A MAC address is as trustworthy as the link: whoever is attached to it can take that of another, and a name is what the
// device calls itself. So the package identifies and does not authenticate. It sends nothing to the network, writes nothing, and
// does not judge which devices may do what.
package devices

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy/host"
)

const (
	maxKnown = 8192             // addresses that are remembered
	foundAge = 10 * time.Second // how long the neighbour of an address is believed to be the same
	lostAge  = time.Second      // how long there is believed to be none
)

// Config is what a [Table] needs. Every field may be left out.
type Config struct {
	// Leases are the files of DHCP servers: dnsmasq's, and those that Kea's memfile backend writes. Which of them a file is, its
	// first line tells.
	Leases []string

	// Links tells the indexes of the interfaces on which an address, without a zone, is that of a neighbour, rather than of
	// somebody behind a router. If nil, there are no neighbours.
	Links func(netip.Addr) []int

	Log *zap.Logger // if nil, nothing is logged
}

// Table knows devices by the addresses of clients. It is safe for concurrent use.
type Table struct {
	log    *zap.Logger
	links  func(netip.Addr) []int
	known  *lru.Cache[netip.Addr, neighbour]
	leases *leaseReader
	book   atomic.Pointer[book]

	asking  sync.Mutex // one question at a time
	kernel  asker
	failing bool // the last question was not answered
}

// neighbour is what was found out of an address. The cache has no ages of its own: that of the same library has, and runs a
// goroutine that nobody can end.
type neighbour struct {
	mac   string // empty: there is none
	until time.Time
}

// asker asks the kernel whose MAC address belongs to an address on a link, nil if it knows of none.
type asker interface {
	ask(addr netip.Addr, link int) (mac []byte, err error)
	close()
}

// New makes a table, with the lease files as they are now. One that cannot be read is logged, and may come later.
func New(cfg Config) *Table {
	t := &Table{log: cfg.Log, links: cfg.Links, kernel: newAsker()}
	if t.log == nil {
		t.log = zap.NewNop()
	}
	known, err := lru.New[netip.Addr, neighbour](maxKnown)
	if err != nil {
		panic(err) // only for a size below 1
	}
	t.known, t.leases = known, newLeaseReader(cfg.Leases, t.log)
	t.book.Store(t.leases.read())
	if len(cfg.Leases) > 0 {
		t.log.Info("lease files read", zap.Int("leases", len(t.book.Load().leases)), zap.Int("devices_with_a_name", len(t.book.Load().names)))
	}
	return t
}

// Lookup tells the MAC address of a client, in lower case with colons, and its name; each is empty where it is not known. The
// table of neighbours tells the MAC address first, a lease where that knows of none, or the client is behind a router. The name
// is that of the lease of the address, unless it is another device's, else that of another lease of the same device.
//
// An address that was not asked for of late costs a question to the kernel, of some ten microseconds.
func (t *Table) Lookup(client netip.Addr) (mac, name string) {
	addr := host.ClientAddr(client)
	return t.book.Load().device(addr, t.neighbour(addr), time.Now())
}

// neighbour is the MAC address of a neighbour, empty if there is none.
func (t *Table) neighbour(addr netip.Addr) string {
	if mac, ok := t.remembered(addr); ok {
		return mac
	}
	t.asking.Lock()
	defer t.asking.Unlock()
	if mac, ok := t.remembered(addr); ok { // somebody else asked meanwhile
		return mac
	}
	n := neighbour{mac: t.ask(addr)}
	if n.until = time.Now().Add(foundAge); n.mac == "" {
		n.until = time.Now().Add(lostAge)
	}
	t.known.Add(addr, n)
	return n.mac
}

func (t *Table) remembered(addr netip.Addr) (mac string, ok bool) {
	n, ok := t.known.Get(addr)
	return n.mac, ok && time.Now().Before(n.until)
}

// ask asks the kernel. An address that belongs to different devices on two links, as a link-local one may, tells neither.
func (t *Table) ask(addr netip.Addr) (mac string) {
	if t.links == nil || !addr.IsValid() {
		return ""
	}
	for _, link := range t.links(addr) {
		b, err := t.kernel.ask(addr, link)
		t.tell(err)
		switch found := textOf(b); {
		case found == "":
		case mac != "" && found != mac:
			return ""
		default:
			mac = found
		}
	}
	return mac
}

// tell logs that the kernel does not answer any more, and that it does again.
func (t *Table) tell(err error) {
	switch failing := err != nil; {
	case failing == t.failing:
		return
	case failing:
		t.log.Warn("the table of neighbours cannot be read: clients have no MAC address", zap.Error(err),
			zap.String("hint", "a service needs AF_NETLINK among its RestrictAddressFamilies"))
	default:
		t.log.Info("the table of neighbours can be read again")
	}
	t.failing = err != nil
}

// textOf writes a MAC address; nothing for what is not that of one Ethernet device.
func textOf(mac []byte) string {
	const group = 1
	if len(mac) != 6 || [6]byte(mac) == [6]byte{} || mac[0]&group != 0 {
		return ""
	}
	return net.HardwareAddr(mac).String() // as host.ParseMAC writes it
}

// Run reads the lease files again when they change, until ctx ends.
func (t *Table) Run(ctx context.Context) {
	if len(t.leases.files) == 0 {
		return
	}
	timer := time.NewTimer(t.leases.pause())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if t.leases.changed() {
			t.book.Store(t.leases.read())
		}
		timer.Reset(t.leases.pause())
	}
}

// Close gives up the connection to the kernel. A later Lookup opens it anew.
func (t *Table) Close() {
	t.asking.Lock()
	defer t.asking.Unlock()
	t.kernel.close()
}
