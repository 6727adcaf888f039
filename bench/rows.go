package main

import (
	"crypto/x509"
	"slices"
)

// row is a line of the table: one kind of work, and what gracegate is to reach in it.
type row struct {
	name, title string
	work        work
	target      func(p *peer) (*server, target) // no server: the peer takes no part
	skip        []string                        // peers that a whole run leaves out, to last no longer than it may
	aims        []aim
	listed      func(long, short *server) []entrant // instead of target: asks these two alone
	inside      bool                                // asks those that take TLS apart
}

// aim is a ratio of CPU per operation that gracegate is to reach: its own over the peer's.
type aim struct {
	peer  string
	ratio float64
	reach bool // or to go for, once that is reached
}

// entrant is what a row measures: a peer, or a second way of asking it.
type entrant struct {
	label   string
	server  *server
	target  target
	failure error // why it cannot be measured
}

func rows(roots *x509.CertPool, hello []byte) []row {
	return append([]row{
		{
			name: "get1k", title: "plain GET 1 KiB, kept alive, 32 clients", work: getting(32, 1<<10), target: plainTarget,
			aims: []aim{{"squid", 0.6, true}, {"haproxy", 1, false}},
		},
		{
			name: "get5000", title: "plain GET 1 KiB, kept alive, 5,000 a second from 32 clients", work: paced(32, 1<<10, 5000), target: plainTarget,
			aims: []aim{{"gracegate" + ungoverned, 1.1, true}},
		},
		{
			name: "get100k", title: "plain GET 100 KiB, kept alive, 32 clients", work: getting(32, 100<<10), target: plainTarget,
			aims: []aim{{"haproxy", 1, true}, {"haproxy", 0.8, false}},
		},
		{
			name: "tls", title: "CONNECT, TLS handshake, one GET of 1 KiB, close, 16 clients", work: updatesOverTLS(16, 1<<10, roots), target: tlsTarget,
			aims: []aim{{"raw", 1.05, true}, {"squid", 1, false}},
		},
		{
			name: "bulk1", title: "bulk through 1 tunnel", work: bulk(1, hello), target: blobTarget, skip: []string{"tinyproxy", "goproxy"},
			aims: []aim{{"raw", 1.05, true}},
		},
		{
			name: "bulk8", title: "bulk through 8 tunnels", work: bulk(8, hello), target: blobTarget, skip: []string{"tinyproxy", "goproxy"},
			aims: []aim{{"raw", 1.05, true}},
		},
		{
			name: "refuse", title: "refusal of a plain request, kept alive, 32 clients", work: refused(32, false), target: refusedTarget,
			aims: []aim{{"haproxy", 1.2, true}, {"haproxy", 1, false}},
		},
		{
			name: "refuse-connect", title: "refusal of CONNECT, a new connection each, 16 clients", work: refused(16, true), target: refusedTarget,
			aims: []aim{{"squid", 1, true}, {"haproxy", 1, false}},
		},
	}, append(listedRows(), insideRows()...)...)
}

func plainTarget(p *peer) (*server, target) {
	if p.plain == "" {
		return nil, target{}
	}
	return p.pass, target{proxy: p.pass.address, host: p.plain, once: p.once}
}

func tlsTarget(p *peer) (*server, target) {
	return p.pass, target{proxy: p.pass.address, connect: p.tls}
}

func blobTarget(p *peer) (*server, target) {
	return p.pass, target{proxy: p.pass.address, connect: p.blob}
}

func refusedTarget(p *peer) (*server, target) {
	if p.refused == 0 {
		return nil, target{}
	}
	return p.refuse, target{proxy: p.refuse.address, host: refusedHost, connect: tlsHost + ":443", status: p.refused, once: p.once}
}

// ungoverned is what is added to the label of a peer that is asked for a name that no policy governs.
const ungoverned = ", ungoverned"

// handshaken is what is added to the label of a gracegate that is asked without a session to resume.
const handshaken = ", full handshake"

// known is what is added to the label of a peer that is asked for one name instead of many: what differs is what leaves cost.
const known = ", 1 name"

// entrants are those of the peers that take part in a row. The first is gracegate.
func (r row) entrants(peers []*peer, chosen []string) []entrant {
	var all []entrant
	for _, p := range peers {
		if p.failure != nil {
			all = append(all, entrant{label: p.name, failure: p.failure})
			continue
		}
		s, t := r.target(p)
		if s == nil || slices.Contains(r.skip, p.name) && !slices.Contains(chosen, p.name) {
			continue
		}
		all = append(all, entrant{label: p.name, server: s, target: t})
		if p.free != "" && t.host == p.plain && t.status == 0 {
			t.host = p.free
			all = append(all, entrant{label: p.name + ungoverned, server: s, target: t})
		}
		if p.binary != "" && r.work.resumes {
			t.fresh = true
			all = append(all, entrant{label: p.name + handshaken, server: s, target: t})
		}
		if p.leaves && r.work.names > 0 {
			t.known = true
			all = append(all, entrant{label: p.name + known, server: s, target: t})
		}
	}
	return all
}

// The labels of the entrants of the rows about many names.
const (
	manyNames = 1_000_000
	manyLabel = "1,000,000 names"
	fewLabel  = "1 name"
)

// listedRows are about a gateway with very many names, beside one with few.
func listedRows() []row {
	aims := []aim{{fewLabel, 1.05, true}}
	return []row{
		{
			name: "names-refuse", title: "refusal with 1,000,000 names loaded, kept alive, 32 clients", work: refused(32, false), aims: aims,
			listed: func(long, short *server) []entrant {
				return []entrant{
					{label: manyLabel, server: long, target: target{proxy: long.address, host: refusedHost, status: 451}},
					{label: fewLabel, server: short, target: target{proxy: short.address, host: refusedHost, status: 451}},
					{label: manyLabel + ", any of them", server: long, target: target{proxy: long.address, listed: manyNames, status: 403}},
				}
			},
		},
		{
			name: "names-pass", title: "plain GET 1 KiB with 1,000,000 names loaded, kept alive, 32 clients", work: getting(32, 1<<10), aims: aims,
			listed: func(long, short *server) []entrant {
				return []entrant{
					{label: manyLabel, server: long, target: target{proxy: long.address, host: exemptHost}},
					{label: fewLabel, server: short, target: target{proxy: short.address, host: exemptHost}},
				}
			},
		},
	}
}
