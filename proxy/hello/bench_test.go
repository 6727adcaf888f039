package hello

import (
	"bytes"
	"crypto/tls"
	"testing"
)

func browserHello(tb testing.TB) []byte {
	tb.Helper()
	return firstBytes(tb, &tls.Config{ServerName: name, NextProtos: []string{"h2", "http/1.1"}})
}

// TestAllocations pins what a hello costs beside the buffer: the name, the text of the protocols and
// their slice.
func TestAllocations(t *testing.T) {
	in := browserHello(t)
	if n := testing.AllocsPerRun(100, func() { Parse(in) }); n > 3 {
		t.Errorf("Parse allocates %v times, want at most 3", n)
	}
	bare := whole(padding(1000))
	if n := testing.AllocsPerRun(100, func() { Parse(bare) }); n != 0 {
		t.Errorf("Parse allocates %v times for a hello without texts, want none", n)
	}
	r, pooled := bytes.NewReader(in), make([]byte, 0, firstBuffer)
	if n := testing.AllocsPerRun(100, func() { r.Reset(in); _, _, _ = Read(r, pooled) }); n > 3 {
		t.Errorf("Read allocates %v times with a buffer given, want at most 3", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bc := range []struct {
		name string
		in   []byte
	}{
		{"PostQuantum", browserHello(b)},
		{"LongestInRecordsOf100", records(sized(MaxSize, name), 100)},
		{"NotTLS", []byte("GET / HTTP/1.1\r\n")},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bc.in)))
			for b.Loop() {
				Parse(bc.in)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	in := browserHello(b)
	r, pooled := bytes.NewReader(in), make([]byte, 0, firstBuffer)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(in)
		if _, _, err := Read(r, pooled); err != nil {
			b.Fatal(err)
		}
	}
}
