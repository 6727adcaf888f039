package match

import (
	"hash/maphash"
	"math/bits"
	"strings"
)

// table maps names to numbers other than 0. Compared with map[string]uint32 it holds no pointers, which a collector
// would follow for each of a million names in every cycle, takes a third less memory, and answers "no" for most
// names that it lacks from one bit. It is filled by at, then sealed, then only read.
type table struct {
	slots []slot // open addressing; a power of two, at most three quarters in use
	used  int
	shift uint8           // from a tag to its slot
	text  strings.Builder // each name behind one byte with its length

	filter []uint64 // 4 bits a slot; the bit of every tag in use is set
	labels uint64   // bit n: some name has n labels; the highest bit: that many or more
}

type slot struct {
	tag   uint32 // of the name
	text  uint32 // where the name stands in the text
	value uint32 // 0: the slot is free
}

// filterBits is the logarithm of the number of filter bits for a slot.
const filterBits = 2

var seed = maphash.MakeSeed()

// tagOf hashes a name. Slots and filter bits are found by the upper bits of a tag.
func tagOf(name string) uint32 {
	return uint32(maphash.String(seed, name)) //nolint:gosec // G115: half of the hash is enough
}

// get returns the number of a name, or 0. The table must be sealed.
func (t *table) get(tag uint32, name string) uint32 {
	if !t.mayHave(tag) {
		return 0
	}
	return t.slots[t.find(tag, name)].value
}

// mayHave reports false if no name has the tag, and for most tags that no name has. It is small enough to be inlined.
func (t *table) mayHave(tag uint32) bool {
	if t.used == 0 {
		return false
	}
	bit := tag >> (t.shift - filterBits)
	return t.filter[bit/64]&(1<<(bit%64)) != 0
}

// find returns the slot of a name, or the free slot where it belongs.
func (t *table) find(tag uint32, name string) int {
	for i := int(tag >> t.shift); ; i = (i + 1) & (len(t.slots) - 1) {
		s := &t.slots[i]
		if s.value == 0 || s.tag == tag && t.name(s.text) == name {
			return i
		}
	}
}

// longest returns the number that over or else under has for a name, or failing that for its parent domain, and so on
// outward. At most one of the two is not 0. An address is found only if it is listed itself: an IPv4 address ends in a
// numeric label, as no name does, and an IPv6 address has no dots.
func longest(name string, over, under *table) (fromOver, fromUnder uint32) {
	listed := over.labels | under.labels
	for n := countLabels(name); n > 0; n-- {
		if listed>>min(n, 63)&1 != 0 {
			tag := tagOf(name)
			if v := over.get(tag, name); v != 0 {
				return v, 0
			}
			if v := under.get(tag, name); v != 0 {
				return 0, v
			}
		}
		name = name[strings.IndexByte(name, '.')+1:]
	}
	return 0, 0
}

// at returns where the number of a name is kept, and adds the name if need be. The caller puts a number other than 0
// there before the next call.
func (t *table) at(name string) *uint32 {
	if t.used >= len(t.slots)/4*3 {
		t.grow()
	}
	tag := tagOf(name)
	s := &t.slots[t.find(tag, name)]
	if s.value == 0 {
		*s = slot{tag: tag, text: uint32(t.text.Len())}
		t.text.WriteByte(byte(len(name))) //nolint:gosec // G115: a name has at most 253 bytes
		t.text.WriteString(name)
		t.used++
		t.labels |= 1 << min(countLabels(name), 63)
	}
	return &s.value
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]slot, max(8, 2*len(old)))
	t.shift = uint8(32 - bits.TrailingZeros(uint(len(t.slots)))) //nolint:gosec // G115: at most 32
	for _, s := range old {
		if s.value == 0 {
			continue
		}
		i := int(s.tag >> t.shift)
		for t.slots[i].value != 0 {
			i = (i + 1) & (len(t.slots) - 1)
		}
		t.slots[i] = s
	}
}

// seal makes the table ready to be read.
func (t *table) seal() {
	text := t.text.String()
	t.text.Reset()
	t.text.Grow(len(text)) // and no more
	t.text.WriteString(text)
	t.filter = make([]uint64, (len(t.slots)<<filterBits+63)/64)
	for _, s := range t.slots {
		if s.value != 0 {
			bit := s.tag >> (t.shift - filterBits)
			t.filter[bit/64] |= 1 << (bit % 64)
		}
	}
}

// name returns the name that stands at a place in the text. It shares the memory of the text.
func (t *table) name(text uint32) string {
	all := t.text.String()
	start := int(text) + 1
	return all[start : start+int(all[text])]
}

func countLabels(name string) int { return 1 + strings.Count(name, ".") }
