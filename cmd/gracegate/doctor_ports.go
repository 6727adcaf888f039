package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// listener is an address that the settings name.
type listener struct{ setting, addr string }

// listeners are those of the settings.
func (x *examination) listeners() []listener {
	var list []listener
	for _, kind := range []struct {
		setting string
		addrs   []string
	}{
		{"listen.proxy", x.cfg.Listen.Proxy},
		{"listen.socks", x.cfg.Listen.SOCKS},
		{"listen.transparent", x.cfg.Listen.Transparent},
		{"listen.admin", nonEmpty(x.cfg.Listen.Admin)},
	} {
		for _, addr := range kind.addrs {
			list = append(list, listener{kind.setting, addr})
		}
	}
	return list
}

// check looks for who has the port.
func (l listener) check(x *examination) finding {
	sockets, err := x.sockets()
	if err != nil {
		return skips("", "who listens cannot be seen: %s", err)
	}
	for _, want := range bound(l.addr) {
		if want.Port() == 0 {
			return passes("any free port, for %s", l.setting)
		}
		for _, s := range sockets {
			if !s.at.overlaps(want) {
				continue
			}
			p := x.owner(s.inode)
			switch {
			case p == nil:
				return warns("run doctor as root", "%s is taken, by a process that this user may not see", s.at)
			case p.isGateway():
				return passes("the gateway (process %d) listens there, for %s", p.pid, l.setting)
			case p.isManager():
				return passes("the service manager (process %d, %s) listens there, for %s", p.pid, p.name, l.setting)
			}
			return fails(fmt.Sprintf("stop it, or give %s another port", l.setting), "%s is taken by %s (process %d)", s.at, p.name, p.pid)
		}
	}
	return passes("free, for %s; the gateway does not run", l.setting)
}

// address is that of a listening socket.
type address struct{ netip.AddrPort }

// overlaps tells whether a second socket could not listen there. One on every IPv6 address mostly is one on every IPv4 address, too.
func (a address) overlaps(b netip.AddrPort) bool {
	if a.Port() != b.Port() {
		return false
	}
	mine, other := a.Addr(), b.Addr()
	switch {
	case mine.IsUnspecified():
		return mine.Is6() || other.Is4() || other.IsUnspecified()
	case other.IsUnspecified():
		return mine.Is4() == other.Is4()
	}
	return mine == other.WithZone("")
}

// listening is a socket that takes TCP connections.
type listening struct {
	at    address
	inode string
}

// listeningSockets reads the kernel's tables (proc_net_tcp).
func (x *examination) listeningSockets() ([]listening, error) {
	var list []listening
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := x.read(name)
		if err != nil {
			if name == "/proc/net/tcp6" { // there is no IPv6
				continue
			}
			return nil, err
		}
		for line := range strings.Lines(text) {
			const listens = "0A"
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listens {
				continue
			}
			if at, valid := kernelAddress(f[1]); valid {
				list = append(list, listening{address{at}, f[9]})
			}
		}
	}
	return list, nil
}

// kernelAddress reads "0100007F:0C38": words of four bytes in the order of the machine, and a port.
func kernelAddress(text string) (netip.AddrPort, bool) {
	words, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(words)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, valid := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), valid && err == nil
}

// proc is a process of the machine.
type proc struct {
	pid, uid     int
	name         string
	capabilities uint64 // effective ones
}

func (p *proc) isGateway() bool {
	return p.name == "gracegate" || strings.HasPrefix(p.name, "gracegate-")
}

// isManager tells the process that opens sockets for services.
func (p *proc) isManager() bool { return p.name == "systemd" }

// findGateway returns the gateway that listens on one of the ports of the settings.
func (x *examination) findGateway() *proc {
	sockets, err := x.sockets()
	if err != nil {
		return nil
	}
	for _, l := range x.listeners() {
		for _, want := range bound(l.addr) {
			for _, s := range sockets {
				if !s.at.overlaps(want) {
					continue
				}
				if p := x.owner(s.inode); p != nil && p.isGateway() {
					return p
				}
			}
		}
	}
	return nil
}

// owner returns the process that has a socket open, not the service manager if another has it too; nil if nobody can be seen.
func (m *machine) owner(inode string) (found *proc) {
	entries, err := fs.ReadDir(m.files, "proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !m.hasOpen(pid, "socket:["+inode+"]") {
			continue
		}
		p := m.process(pid)
		if found == nil || found.isManager() {
			found = p
		}
	}
	return found
}

func (m *machine) hasOpen(pid int, what string) bool {
	dir := path.Join("proc", strconv.Itoa(pid), "fd")
	files, err := fs.ReadDir(m.files, dir)
	if err != nil { // of another user, or gone
		return false
	}
	for _, f := range files {
		if to, err := fs.ReadLink(m.files, path.Join(dir, f.Name())); err == nil && to == what {
			return true
		}
	}
	return false
}

// process reads /proc/PID/status.
func (m *machine) process(pid int) *proc {
	p := &proc{pid: pid, name: "?"}
	text, err := m.read(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return p
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		f := strings.Fields(value)
		if len(f) == 0 {
			continue
		}
		switch key {
		case "Name":
			p.name = strings.Join(f, " ")
		case "Uid": // real, effective, saved, of files
			p.uid, _ = strconv.Atoi(f[min(1, len(f)-1)])
		case "CapEff":
			p.capabilities, _ = strconv.ParseUint(f[0], 16, 64)
		}
	}
	return p
}
