package proxy

import (
	"fmt"
	"io"
	"testing"
)

// A message to the origin and back.
func BenchmarkRelayMessages(b *testing.B) {
	for _, size := range []int{64, 4 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := newRelayRig(b, patience, nil)
			go func() { _, _ = io.Copy(struct{ io.Writer }{r.origin}, struct{ io.Reader }{r.origin}) }()
			message, answer := make([]byte, size), make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(2 * size))
			for b.Loop() {
				if _, err := r.client.Write(message); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(r.client, answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A megabyte from the origin.
func BenchmarkRelayBulk(b *testing.B) {
	r := newRelayRig(b, patience, nil)
	go func() { _, _ = io.Copy(r.origin, endless{}) }()
	part := make([]byte, 1<<20)
	b.ReportAllocs()
	b.SetBytes(int64(len(part)))
	for b.Loop() {
		if _, err := io.ReadFull(r.client, part); err != nil {
			b.Fatal(err)
		}
	}
}
