package config

import (
	"testing"
	"time"
)

// texts are what a kind reads, with how it prints them, and "" for what it refuses.
type texts map[string]string

func check[T any](t *testing.T, k scalar[T], tests texts) {
	t.Helper()
	for text, want := range tests {
		v, bad := k.parse(text)
		if (bad != nil) != (want == "") {
			t.Errorf("%s: %q: %+v", k.name, text, bad)
		}
		if bad == nil && k.format(v) != want {
			t.Errorf("%s: %q is printed as %q, want %q", k.name, text, k.format(v), want)
		}
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	check(t, duration, texts{
		"0": "0", "0s": "0", "0d": "0", "250ms": "250ms", "30s": "30s", "90s": "1m30s", "60m": "1h", "36h": "36h", "24h": "1d",
		"14d": "14d", "1h30m": "1h30m", "1h0m5s": "1h0m5s", "1.5h": "1h30m", "-5s": "-5s", "106751d": "106751d",
		"": "", "30": "", "0.5": "", "1e3": "", "d": "", "1.5d": "", "-1d": "", "+1d": "", "1d12h": "", "106752d": "", "2w": "",
		"30 s": "", "5min": "", "99999999999h": "", "∞": "",
	})
	check(t, size, texts{
		"0": "0", "0B": "0", "0GiB": "0", "512B": "512B", "1024B": "1KiB", "64KiB": "64KiB", "1025KiB": "1025KiB", "1024KiB": "1MiB", "3GiB": "3GiB",
		"8589934591GiB": "8589934591GiB",
		"":              "", "0.0": "", "00": "", "64": "", "64K": "", "64KB": "", "64kib": "", "1.5MiB": "", "-1KiB": "", "+1KiB": "", "-0KiB": "", "KiB": "", "64 KiB": "",
		"8589934592GiB": "", "99999999999999999999B": "",
	})
	check(t, number, texts{
		"1": "1", "0.5": "0.5", "1e3": "1000", "-1": "-1", "0": "0",
		"": "", "NaN": "", "Inf": "", "1e999": "", "1,5": "", "x": "",
	})
	check(t, positive(number, 10), texts{"1e-9": "0.000000001", "10": "10", "0": "", "-0": "", "-1": "", "10.1": ""})
	check(t, listenAddr, texts{
		"127.0.0.1:3128": "127.0.0.1:3128", ":3128": ":3128", "localhost:0": "localhost:0", "[::1]:1": "[::1]:1",
		"[0:0::1]:1": "[::1]:1", "[::ffff:192.0.2.1]:65535": "192.0.2.1:65535", "[fe80::1%eth0]:1": "[fe80::1%eth0]:1",
		"": "", "3128": "", "127.0.0.1": "", "127.0.0.1:": "", "127.0.0.1:+1": "", "127.0.0.1:01": "", "127.0.0.1:65536": "",
		"127.0.0.1:4294967297": "", "127.0.0.1:http": "", "::1:80": "", "*:80": "", "127.1:80": "", "Localhost:80": "",
		"0x7f000001:80": "", "127.0.0.1:80 ": "",
	})
	check(t, prefix, texts{
		"10.0.0.0/8": "10.0.0.0/8", "10.0.0.1": "10.0.0.1/32", "::1": "::1/128", "fd00::/8": "fd00::/8", "0.0.0.0/0": "0.0.0.0/0",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.0.0.1": "10.0.0.1/32",
		"": "", "10.0.0.1/8": "", "10.0.0.0/33": "", "10.0.0.0/08": "", "10/8": "", "fe80::1%eth0": "", "010.0.0.1": "", "any": "",
	})
	check(t, portRange, texts{
		"1": "1", "65535": "65535", "8000-8010": "8000-8010", "7-7": "7",
		"": "", "0": "", "0-1": "", "01": "", "65536": "", "8010-8000": "", "1-2-3": "", "-1": "", "1-": "", "80 - 90": "",
	})
	check(t, server, texts{
		"192.0.2.1:53": "192.0.2.1:53", "[::ffff:192.0.2.1]:53": "192.0.2.1:53", "[2001:db8::1]:53": "[2001:db8::1]:53",
		"192.0.2.1": "", "192.0.2.1:0": "", ":53": "", "dns.example:53": "", "[fe80::1%eth0]:53": "", "2001:db8::1:53": "",
	})
	check(t, syslogServer, texts{
		"udp://192.0.2.1:514": "udp://192.0.2.1:514", "tcp://Log.Example.:601": "tcp://log.example:601",
		"tls://[2001:db8::1]:6514": "tls://[2001:db8::1]:6514", "unix:///dev/log": "unix:///dev/log",
		"192.0.2.1:514": "", "udp://192.0.2.1": "", "udp://192.0.2.1:0": "", "udp://:514": "", "udp:///dev/log": "", "tcp://": "",
		"unix://dev/log": "", "unix://": "", "unix:///a\x00": "", "http://192.0.2.1:514": "", "TCP://192.0.2.1:601": "", "tcp://a:601/x": "",
		"tcp://me@a:601": "",
	})
	check(t, timeServer, texts{
		"ntp://192.0.2.1": "ntp://192.0.2.1:123", "ntp://Time.Example.:1": "ntp://time.example:1", "ntp://[::1]": "ntp://[::1]:123",
		"192.0.2.1": "", "ntp://": "", "ntp://:123": "", "ntp://192.0.2.1:0": "", "nts://192.0.2.1": "", "NTP://192.0.2.1": "",
		"ntp://a/b": "", "ntp://me@a": "", "ntp:a": "",
	})
	check(t, hostName, texts{
		"A.Example.": "a.example", "bücher.example": "xn--bcher-kva.example", "[::1]": "::1", "192.0.2.1": "192.0.2.1",
		"": "", "a.example:80": "", "a..b": "", "*.example": "", "user@a.example": "",
	})
	check(t, webPage, texts{
		"https://example.org": "https://example.org", "HTTP://example.org/a b": "http://example.org/a%20b",
		"example.org": "", "ftp://example.org": "", "https://": "", "https:///x": "", "https://:443": "", "https://u:p@example.org": "",
		"javascript:alert(1)": "", "https://example.org/\n": "",
	})
}

func TestInstants(t *testing.T) {
	t.Parallel()
	check(t, instant, texts{
		"2024-09-29T00:00:00-04:00": "2024-09-29T00:00:00-04:00", "2024-09-29T00:00:00Z": "2024-09-29T00:00:00Z",
		"2024-09-29T00:00:00.000000001+14:00": "2024-09-29T00:00:00.000000001+14:00",
		"now":                                 "", "2024-09-29": "", "2024-09-29T00:00:00": "", "2024-09-29T00:00:00EST": "", "2024-09-29T24:00:00Z": "",
		"2024-09-29T00:00Z": "", "2024-09-29T0:00:00Z": "", "2024-09-29 00:00:00Z": "", "2024-09-29T00:00:00,5Z": "",
		"2024-02-30T00:00:00Z": "", "2024-09-29T23:59:60Z": "", "2024-09-29T00:00:00+25:00": "", "1727568000": "",
		"0001-01-01T00:00:00Z": "", "2024-09-29T00:00:00.1234567891Z": "",
	})
	what := map[string]string{
		"2024-09-29":                "has no time of day and no offset",
		"2024-09-29T00:00:00":       "has no offset from UTC",
		"2024-09-29 00:00":          "has no offset from UTC",
		"2024-09-29T00:00:00 EDT":   "has the zone EDT, which is ambiguous",
		"2024-09-29T00:00:00EST5":   "is not RFC 3339",
		"2024-09-29T24:00:00-04:00": "has hour 24, which is the next day's hour 00",
		"2024-09-29T00:00:00-0400":  "is not RFC 3339",
		"29.9.2024":                 "is not RFC 3339",
	}
	for text, want := range what {
		if _, bad := parseInstant(text); bad == nil || bad.what != want {
			t.Errorf("%q: %+v, want %s", text, bad, want)
		}
	}
	check(t, horizon, texts{
		"all": "all", "clock": "clock", "2024-09-29T00:00:00Z": "2024-09-29T00:00:00Z", "": "", "All": "", "never": "", "2024-09-29": "",
	})
}

// What is printed of any duration and size is read as the same.
func FuzzPrintedIsReadAgain(f *testing.F) {
	for _, n := range []int64{0, 1, 1024, 1 << 40, 1<<63 - 1, int64(time.Second), int64(time.Minute), int64(day), int64(90 * time.Minute)} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		n = max(n, -(n + 1)) // not negative
		if d, bad := parseDuration(formatDuration(time.Duration(n))); bad != nil || d != time.Duration(n) {
			t.Errorf("%d is printed as %q and read as %d, %+v", n, formatDuration(time.Duration(n)), d, bad)
		}
		if b, bad := parseSize(formatSize(n)); bad != nil || b != n {
			t.Errorf("%d is printed as %q and read as %d, %+v", n, formatSize(n), b, bad)
		}
	})
}

func TestNearest(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"limits.idel": "limits.idle", "LIMITS.IDLE": "limits.idle", "limits.header_count": "limits.header-count",
		"listen.port": "listen.proxy", "policy.catalogue": "policy.catalog", "xyz": "", "": "",
	}
	for word, want := range tests {
		if got := nearest(word, keys()); got != want {
			t.Errorf("%q: nearest is %q, want %q", word, got, want)
		}
	}
}
