package proxy

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
)

// A reference names the record of one refusal, to people: they read it from a page and say it to whoever looks for the record.
const (
	// referenceLetters leave out 0, 1, I and O.
	referenceLetters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

	referenceSize = 12 // letters of 5 bits each
	referenceBits = 5 * referenceSize

	// referenceStep is odd, so that its multiples meet each of the 2^60 numbers before one comes again; and large, so that one
	// letter that was misread does not lead to the record of another.
	referenceStep = 0x9e3779b97f4a7c15
)

// references counts from where chance begins: two processes that refuse a thousand million times each have a reference in
// common once in 500 million pairs of them.
var references = func() *atomic.Uint64 {
	var start [8]byte
	_, _ = rand.Read(start[:]) // never fails
	n := new(atomic.Uint64)
	n.Store(binary.NativeEndian.Uint64(start[:]))
	return n
}()

// newReference returns a reference that this process has not given yet: 12 capital letters and digits.
func newReference() string { return referenceOf(references.Add(1)) }

func referenceOf(n uint64) string {
	n *= referenceStep
	var letters [referenceSize]byte
	for i := range letters {
		letters[i] = referenceLetters[n>>(referenceBits-5*(i+1))&31]
	}
	return string(letters[:])
}
