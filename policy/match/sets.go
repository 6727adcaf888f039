package match

import (
	"encoding/binary"
	"slices"
)

// sets holds sets of numbers, each set once and sorted. A set is known by its index in the list; 0 is the empty one.
type sets struct {
	list  [][]uint32
	ids   map[string]uint32    // by the bytes of the numbers
	added map[[2]uint32]uint32 // a set and a number -> the set with that number in it
}

func newSets() *sets {
	return &sets{list: [][]uint32{nil}, ids: make(map[string]uint32), added: make(map[[2]uint32]uint32)}
}

// with returns the set that has the numbers of set, and x.
func (s *sets) with(set, x uint32) uint32 {
	key := [2]uint32{set, x}
	if id, ok := s.added[key]; ok {
		return id
	}
	id := set
	if at, found := slices.BinarySearch(s.list[set], x); !found {
		id = s.intern(slices.Insert(slices.Clone(s.list[set]), at, x))
	}
	s.added[key] = id
	return id
}

// union returns the set that has the numbers of both.
func (s *sets) union(a, b uint32) uint32 {
	for _, x := range s.list[b] {
		a = s.with(a, x)
	}
	return a
}

// intern returns the set of the given numbers, which are sorted, differ, and are kept.
func (s *sets) intern(numbers []uint32) uint32 {
	if len(numbers) == 0 {
		return 0
	}
	key := bytesOf(numbers)
	id, ok := s.ids[string(key)]
	if !ok {
		id = uint32(len(s.list))
		s.ids[string(key)] = id
		s.list = append(s.list, numbers)
	}
	return id
}

// bytesOf returns the numbers as bytes, to be the key of a map.
func bytesOf(numbers []uint32) []byte {
	key := make([]byte, 0, 4*len(numbers))
	for _, x := range numbers {
		key = binary.LittleEndian.AppendUint32(key, x)
	}
	return key
}
