package audit

import (
	"hash/maphash"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

const (
	maxPaths   = 64      // that are told apart for one client, host and hour
	maxAllowed = 1 << 18 // paths that are remembered, over all of them
)

// Tally sums records up, so that flows that are alike become one [Seen]. Its memory is bounded if its owner takes the sums
// out when it is [Tally.Full]. It is for one goroutine at a time.
type Tally struct {
	max  int
	sums map[SeenKey]*Seen

	// Which paths are told apart is remembered beyond Take: else each would make room for 64 others.
	hour    time.Time // the latest so far
	seed    maphash.Seed
	allowed map[uint64]struct{} // hashes of a pathKey
	perHost map[hostKey]int     // how many of these are of one client, host and hour
}

type hostKey struct {
	hour   time.Time
	client netip.Addr
	host   host.Name
}

type pathKey struct {
	hostKey
	path string
}

// NewTally returns an empty tally that is full with so many different keys.
func NewTally(maxKeys int) *Tally {
	return &Tally{
		max: maxKeys, sums: make(map[SeenKey]*Seen), seed: maphash.MakeSeed(),
		allowed: make(map[uint64]struct{}), perHost: make(map[hostKey]int),
	}
}

// Add counts a record, if it [Counts]. Of the paths that one client asked one host for in one hour, the first 64 or so are told
// apart; all others count as if none was seen.
func (t *Tally) Add(r *Record) {
	if !Counts(r) {
		return
	}
	key := KeyOf(r)
	sum := t.sums[key]
	if sum == nil {
		sum = t.begin(key)
	}
	at := r.PolicyTime.UTC().Round(0)
	if sum.Flows == 0 || at.Before(sum.First) {
		sum.First = at
	}
	if sum.Flows == 0 || at.After(sum.Last) {
		sum.Last = at
	}
	sum.Flows++
	if r.Ended == "cut" {
		sum.Cuts++
	}
	sum.BytesIn += min(r.BytesIn, math.MaxInt64-sum.BytesIn) // a line that is read back may say anything
	sum.BytesOut += min(r.BytesOut, math.MaxInt64-sum.BytesOut)
}

// Full reports whether there are so many keys that they should be taken.
func (t *Tally) Full() bool { return len(t.sums) >= t.max }

// Take returns the sums in the order of their keys, and begins anew.
func (t *Tally) Take() []Seen {
	sorted := slices.SortedFunc(maps.Values(t.sums), func(a, b *Seen) int { return a.Compare(&b.SeenKey) })
	taken := make([]Seen, len(sorted))
	for i, s := range sorted {
		taken[i] = *s
	}
	clear(t.sums)
	return taken
}

// begin finds the sum for a key that is not in the map, which is that without its path where there are too many.
func (t *Tally) begin(key SeenKey) *Seen {
	if key.Path != "" && !t.tellsApart(&key) {
		key.Path = ""
		if sum := t.sums[key]; sum != nil {
			return sum
		}
	}
	key.own()
	sum := &Seen{SeenKey: key}
	t.sums[key] = sum
	return sum
}

// tellsApart reports whether the path is one of the first for its client, host and hour. It forgets what it knows when the
// hour is over, and when that is too much.
func (t *Tally) tellsApart(key *SeenKey) bool {
	if key.Hour.After(t.hour) || len(t.allowed) >= maxAllowed {
		t.hour = key.Hour
		clear(t.allowed)
		clear(t.perHost)
	}
	at := hostKey{key.Hour, key.Client, key.Host}
	hash := maphash.Comparable(t.seed, pathKey{at, key.Path})
	if _, known := t.allowed[hash]; known {
		return true
	}
	if t.perHost[at] >= maxPaths {
		return false
	}
	t.perHost[at]++
	t.allowed[hash] = struct{}{}
	return true
}

// own makes the texts that come from requests their own, since they may be small pieces of large ones.
func (k *SeenKey) own() {
	k.User, k.Method, k.Path = strings.Clone(k.User), strings.Clone(k.Method), strings.Clone(k.Path)
	k.Host, k.SNI = ownName(k.Host), ownName(k.SNI)
}

func ownName(n host.Name) host.Name {
	if n.IsZero() {
		return n
	}
	return host.MustParse(strings.Clone(n.String()))
}
