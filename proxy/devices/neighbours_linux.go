package devices

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answerTime is how long the kernel may take for an answer, which it gives at once.
const answerTime = time.Second

// valid are the states in which the kernel sends to a neighbour: those in which it knows of a MAC address that is, or of late was,
// confirmed.
const valid = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT

// neighbourTable is the kernel's, asked by rtnetlink(7).
type neighbourTable struct {
	conn  *netlink.Conn // nil: none is open
	whole bool          // the kernel is older than 5.0, and gives the whole table or nothing
}

func newAsker() asker { return &neighbourTable{} }

func (n *neighbourTable) close() {
	if n.conn != nil {
		_ = n.conn.Close()
		n.conn = nil
	}
}

func (n *neighbourTable) ask(addr netip.Addr, link int) (mac []byte, err error) {
	entries, err := n.entries(addr, link)
	if errors.Is(err, unix.EOPNOTSUPP) && !n.whole {
		n.whole = true
		entries, err = n.entries(addr, link)
	}
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if mac := readEntry(entries[i].Data, addr, link); mac != nil {
			return mac, nil
		}
	}
	return nil, nil
}

// entries returns what the kernel has of an address on a link; or, if it is an old one, all that it has.
func (n *neighbourTable) entries(addr netip.Addr, link int) ([]netlink.Message, error) {
	if n.conn == nil {
		conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return nil, err
		}
		n.conn = conn
	}
	request, err := question(addr, link, n.whole)
	if err != nil {
		return nil, err
	}
	_ = n.conn.SetReadDeadline(time.Now().Add(answerTime)) // of an open connection
	entries, err := n.conn.Execute(request)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV): // neither the neighbour nor the link, if that has gone
		return nil, nil
	case err != nil && !errors.Is(err, unix.EOPNOTSUPP):
		n.close() // an answer that comes late would be taken for that to the next question
	}
	return entries, err
}

// question is RTM_GETNEIGH for one entry, or for all.
func question(addr netip.Addr, link int, whole bool) (m netlink.Message, err error) {
	m.Header.Type, m.Header.Flags = unix.RTM_GETNEIGH, netlink.Request
	m.Data = make([]byte, unix.SizeofNdMsg)
	m.Data[0] = unix.AF_INET
	if addr.Is6() {
		m.Data[0] = unix.AF_INET6
	}
	if whole {
		m.Header.Flags |= netlink.Dump
		return m, nil
	}
	binary.NativeEndian.PutUint32(m.Data[4:], uint32(link)) //nolint:gosec // an index of the kernel's
	attributes := netlink.NewAttributeEncoder()
	attributes.Bytes(unix.NDA_DST, addr.AsSlice())
	b, err := attributes.Encode()
	m.Data = append(m.Data, b...)
	return m, err
}

// readEntry returns the MAC address of an entry, if that is the one asked for and in a state in which it is used.
func readEntry(entry []byte, addr netip.Addr, link int) (mac []byte) {
	if len(entry) < unix.SizeofNdMsg {
		return nil
	}
	on, state := binary.NativeEndian.Uint32(entry[4:]), binary.NativeEndian.Uint16(entry[8:])
	if int(on) != link || state&valid == 0 {
		return nil
	}
	attributes, err := netlink.NewAttributeDecoder(entry[unix.SizeofNdMsg:])
	if err != nil {
		return nil
	}
	of := netip.Addr{}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.NDA_DST:
			of, _ = netip.AddrFromSlice(attributes.Bytes())
		case unix.NDA_LLADDR:
			mac = attributes.Bytes()
		}
	}
	if of != addr || attributes.Err() != nil {
		return nil
	}
	return mac
}
