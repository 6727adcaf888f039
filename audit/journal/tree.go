package journal

import (
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// frontier is the right edge of a tree: the roots of the full subtrees that its leaves make up, the largest first. That is all
// that is needed to add leaves and to know the root.
type frontier struct {
	size  uint64
	roots []tlog.Hash
}

// add adds the next leaf.
func (f *frontier) add(leaf tlog.Hash) {
	for size := f.size; size&1 == 1; size >>= 1 {
		last := len(f.roots) - 1
		leaf = tlog.NodeHash(f.roots[last], leaf)
		f.roots = f.roots[:last]
	}
	f.roots = append(f.roots, leaf)
	f.size++
}

// root is the root of the whole tree (RFC 6962, section 2.1); of an empty one it is zero.
func (f *frontier) root() tlog.Hash {
	if len(f.roots) == 0 {
		return tlog.Hash{}
	}
	root := f.roots[len(f.roots)-1]
	for i := len(f.roots) - 2; i >= 0; i-- {
		root = tlog.NodeHash(f.roots[i], root)
	}
	return root
}

// bytes is how a frontier stands at the start of a file of leaves.
func (f *frontier) bytes() []byte {
	var b []byte
	for _, h := range f.roots {
		b = append(b, h[:]...)
	}
	return b
}

// frontierSize is the length of that.
func frontierSize(size uint64) int64 { return int64(bits.OnesCount64(size)) * tlog.HashSize }

// readFrontier reads the frontier of a tree of this size.
func readFrontier(r io.Reader, size uint64) (frontier, error) {
	f := frontier{size: size, roots: make([]tlog.Hash, bits.OnesCount64(size))}
	for i := range f.roots {
		if _, err := io.ReadFull(r, f.roots[i][:]); err != nil {
			return frontier{}, err
		}
	}
	return f, nil
}

// tree reads the hashes of a journal, to prove records. What was removed is known by the roots of its subtrees alone.
type tree struct {
	base   frontier // of what was removed
	leaves func(first uint64, n int) ([]tlog.Hash, error)
	known  map[int64]tlog.Hash // of the larger subtrees, by their index in tlog's order
}

// keptLevel is the least level of a subtree whose hash is kept once it is known: they are few, and each costs to make.
const keptLevel = 8

// ReadHashes implements [tlog.HashReader].
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		var err error
		if list[i], err = t.hash(level, uint64(n)); err != nil { //nolint:gosec // tlog's numbers are not negative
			return nil, err
		}
	}
	return list, nil
}

// hash is that of the nth subtree of a level.
func (t *tree) hash(level int, n uint64) (tlog.Hash, error) {
	first := n << level
	end := first + 1<<level
	switch {
	case end <= t.base.size:
		return t.removed(level, first)
	case first >= t.base.size && level < keptLevel:
		return t.fold(first, level)
	}
	index := tlog.StoredHashIndex(level, int64(n)) //nolint:gosec // below 2^63
	if h, ok := t.known[index]; ok {
		return h, nil
	}
	left, err := t.hash(level-1, 2*n)
	if err != nil {
		return tlog.Hash{}, err
	}
	right, err := t.hash(level-1, 2*n+1)
	if err != nil {
		return tlog.Hash{}, err
	}
	h := tlog.NodeHash(left, right)
	if level >= keptLevel {
		t.known[index] = h
	}
	return h, nil
}

// removed finds the root of a subtree of which no record is left. A proof of what is left asks only for those of the frontier.
func (t *tree) removed(level int, first uint64) (tlog.Hash, error) {
	at := uint64(0)
	for i := range t.base.roots {
		size := uint64(1) << (bits.Len64(t.base.size-at) - 1)
		if at == first && size == 1<<level {
			return t.base.roots[i], nil
		}
		at += size
	}
	return tlog.Hash{}, fmt.Errorf("the records from %d to %d were removed, and nothing below their common root is known", first, first+1<<level-1)
}

// fold is the root of a small subtree, all of whose leaves are there.
func (t *tree) fold(first uint64, level int) (tlog.Hash, error) {
	hashes, err := t.leaves(first, 1<<level)
	if err != nil {
		return tlog.Hash{}, err
	}
	for len(hashes) > 1 {
		for i := range len(hashes) / 2 {
			hashes[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
		hashes = hashes[:len(hashes)/2]
	}
	return hashes[0], nil
}
