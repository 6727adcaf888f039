package clock

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"
)

// timeServer answers as an NTP server of stratum 2 does that is so far ahead of this machine; change makes an answer another one, or, if it returns nil, none.
func timeServer(t *testing.T, ahead time.Duration, change func(answer []byte) []byte) NTP {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		ask := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(ask)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			answer := make([]byte, 48)
			answer[0], answer[1], answer[2], answer[3] = 4<<3|4, 2, 6, 0xec // version 4, mode server, stratum 2
			stamp := ntpTime(time.Now().Add(ahead))
			binary.BigEndian.PutUint64(answer[16:], stamp-1<<32) // reference
			copy(answer[24:], ask[40:48])                        // origin
			binary.BigEndian.PutUint64(answer[32:], stamp)       // receive
			binary.BigEndian.PutUint64(answer[40:], stamp)       // transmit
			if answer = change(answer); answer != nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	return NTP(c.LocalAddr().String())
}

// ntpTime is an instant as RFC 5905 has it: seconds since 1900 modulo 2^32, and a fraction.
func ntpTime(t time.Time) uint64 {
	const from1900 = 2208988800
	return uint64(uint32(t.Unix()+from1900))<<32 | uint64(t.Nanosecond())<<32/1e9
}

func same(answer []byte) []byte { return answer }

func TestNTP(t *testing.T) {
	t.Parallel()
	after2036 := time.Until(time.Date(2036, 2, 7, 6, 28, 17, 0, time.UTC)) // the era after the first
	for _, ahead := range []time.Duration{0, -year, year, 30 * time.Second, after2036, 13 * year} {
		at, err := timeServer(t, ahead, same).Ask(t.Context())
		if off := time.Until(at) - ahead; err != nil || off.Abs() > 5*time.Second {
			t.Errorf("%s ahead: %s, off by %s, %v", ahead, at, off, err)
		}
	}
}

func TestNTPRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, wrong string
		change      func(answer []byte) []byte
	}{
		{"not synchronised", "leap second", func(a []byte) []byte { a[0] |= 3 << 6; return a }},
		{"kiss of death", "kiss of death", func(a []byte) []byte { a[1] = 0; return a }},
		{"stratum 16", "stratum", func(a []byte) []byte { a[1] = 16; return a }},
		{"another's answer", "", func(a []byte) []byte { a[24] ^= 1; return a }},
		{"short", "", func(a []byte) []byte { return a[:20] }},
		{"silence", "", func([]byte) []byte { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			start := time.Now()
			at, err := timeServer(t, 0, tt.change).Ask(ctx)
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s, %v", at, err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	if _, err := NTP("127.0.0.1:1").Ask(t.Context()); err == nil {
		t.Error("nobody listens, and there was an answer")
	}
}
