package hello

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

const name = "s01.upd.kaspersky.com"

type testCase struct {
	name string
	in   []byte
	want Info
}

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// readable are hellos that must be understood.
func readable() []testCase {
	named := Info{Kind: Hello, ServerName: name}
	return []testCase{
		{"name", whole(sni(name)), named},
		{"no name", whole(alpn("h2")), Info{Kind: Hello, ALPN: []string{"h2"}}},
		{"no extensions at all", records(fields{}.message(nil), maxFragment), Info{Kind: Hello}},
		{"empty block of extensions", whole(), Info{Kind: Hello}},
		{"protocols", whole(alpn("h2", "http/1.1"), sni(name)), Info{Kind: Hello, ServerName: name, ALPN: []string{"h2", "http/1.1"}}},
		{"more protocols than are kept", whole(alpn(strings.Split(text(40), "")...)), Info{Kind: Hello, ALPN: strings.Split(text(maxALPN), "")}},
		{"name as sent", whole(sni("WWW.Example.COM.")), Info{Kind: Hello, ServerName: "WWW.Example.COM."}},
		{"longest name", whole(sni(text(255))), Info{Kind: Hello, ServerName: text(255)}},
		{"encrypted hello", whole(sni(name), extension{extECH, []byte{0, 0, 1}}), Info{Kind: Hello, ServerName: name, ECH: true}},
		{"inner hello in the clear", whole(sni(name), extension{extECH, []byte{1}}), named},
		{"early data behind the hello", cat(whole(sni(name), extension{extEarlyData, nil}), record(23, []byte("secret"))), Info{Kind: Hello, ServerName: name, EarlyData: true}},
		{"grease", whole(extension{0x0a0a, nil}, extension{0xfafa, []byte{0}}, sni(name)), named},
		{"most extensions", whole(append(others(maxExtensions-1), sni(name))...), named},
		{"record version of SSL 3.0", versioned(3, 0), named},
		{"record version of TLS 1.2", versioned(3, 3), named},
		{"SSL 3.0 inside", records(fields{version: []byte{3, 0}}.message(join(sni(name))), maxFragment), named},
		{"longest session id", records(fields{session: vector8(make([]byte, 32))}.message(join(sni(name))), maxFragment), named},
		{"records of one byte", records(message(sni(name)), 1), named},
		{"head of the message over two records", cat(records(message(sni(name))[:2], 9), records(message(sni(name))[2:], 99)), named},
		{"name behind a large extension", whole(padding(40<<10), sni(name)), named},
		{"longest message", records(sized(MaxSize, name), maxFragment), named},
		{"longest message in small records", records(sized(MaxSize, name), 100), named},
	}
}

func versioned(major, minor byte) []byte {
	in := whole(sni(name))
	in[1], in[2] = major, minor
	return in
}

func others(n int) []extension {
	list := make([]extension, n)
	for i := range list {
		list[i].kind = uint16(0x4000 + i)
	}
	return list
}

// unlawful are the first bytes that no hello can come of.
func unlawful() []testCase {
	notTLS := Info{Kind: NotTLS, Why: "the first bytes are no TLS record"}
	why := func(s string) Info { return Info{Kind: Unreadable, Why: s} }
	body := func(b []byte) []byte { return records(handshake(handshakeIsAHello, b), maxFragment) }
	with := func(f fields) []byte { return records(f.message(join(sni(name))), maxFragment) }
	random := make([]byte, randomSize)

	return []testCase{
		{"plain HTTP", []byte("GET / HTTP/1.1\r\n"), notTLS},
		{"one letter", []byte("G"), notTLS},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.9\r\n"), notTLS},
		{"NUL", []byte{0}, notTLS},
		{"high bytes", []byte{0xff, 0xff, 0xff}, notTLS},
		{"high bytes, long enough for SSL 2.0", []byte{0x80, 0x2e, 0x01, 0x01}, notTLS},

		{"hello of SSL 2.0", []byte{0x80, 0x2e, 0x01, 0x03, 0x01}, why("the hello has the format of SSL 2.0")},
		{"warning alert first", cat(record(21, []byte{1, 0}), whole(sni(name))), why("a TLS record of another type comes before the hello")},
		{"cipher change first", cat(record(20, []byte{1}), whole(sni(name))), why("a TLS record of another type comes before the hello")},
		{"application data first", []byte{23}, why("a TLS record of another type comes before the hello")},
		{"heartbeat first", []byte{24}, why("a TLS record of another type comes before the hello")},
		{"alert within", cat(records(message(sni(name))[:20], 20), record(21, []byte{1, 0})), why("a record of another type interrupts the hello")},
		{"record version 2.3", versioned(2, 3), why("the record version is not that of TLS")},
		{"record version 255.255", []byte{22, 255}, why("the record version is not that of TLS")},
		{"strange version within", cat(records(message(sni(name))[:20], 20), []byte{22, 4}), why("the record version is not that of TLS")},
		{"empty record first", cat(record(22, nil), whole(sni(name))), why("a handshake record is empty")},
		{"empty record within", cat(records(message(sni(name))[:20], 20), record(22, nil)), why("a handshake record is empty")},
		{"record of 16 KiB and a byte", []byte{22, 3, 1, 0x40, 1}, why("a record is longer than 16 KiB")},
		{"another message first", cat(record(22, handshake(0, nil)), whole(sni(name))), why("another handshake message comes before the hello")},
		{"message of 64 KiB and a byte", records(sized(MaxSize+1, name), maxFragment), why("the hello is longer than 64 KiB")},
		{"message of 16 MiB", record(22, []byte{1, 0xff, 0xff, 0xff}), why("the hello is longer than 64 KiB")},
		{"another message behind it", records(cat(message(sni(name)), handshake(1, nil)), maxFragment), why("the record goes on after the hello")},
		{"byte behind it in a record of its own length", cat([]byte{22, 3, 1}, vector16(cat(message(sni(name)), []byte{0}))), why("the record goes on after the hello")},
		{"long hello in tiny records", records(sized(MaxSize, name), 64), why("the hello and its records exceed 68 KiB")},
		{"headers up to the bound", upToBound(), why("the hello is spread over too many records")},

		{"version 2", with(fields{version: []byte{2, 3}}), why("the version of the hello is not that of TLS")},
		{"nothing in it", body(nil), why("the version of the hello is not that of TLS")},
		{"short random", body([]byte{3, 3, 1, 2}), why("the hello ends within its random bytes")},
		{"long session id", with(fields{session: vector8(make([]byte, 33))}), why("the session id is malformed")},
		{"session id beyond the end", body(cat([]byte{3, 3}, random, []byte{32})), why("the session id is malformed")},
		{"no cipher suites", with(fields{suites: []byte{0, 0}}), why("the list of cipher suites is malformed")},
		{"half a cipher suite", with(fields{suites: vector16([]byte{1, 2, 3})}), why("the list of cipher suites is malformed")},
		{"cipher suites beyond the end", with(fields{suites: []byte{0xff, 0xfe}}), why("the list of cipher suites is malformed")},
		{"no compression methods", with(fields{compression: []byte{0}}), why("the list of compression methods is malformed")},
		{"ends before compression", body(cat([]byte{3, 3}, random, []byte{0}, vector16([]byte{1, 2}))), why("the list of compression methods is malformed")},
		{"half a length of extensions", records(fields{}.message([]byte{0}), 99), why("the length of the extensions is not that of the hello")},
		{"extensions beyond the end", records(fields{}.message([]byte{0, 9, 1}), 99), why("the length of the extensions is not that of the hello")},
		{"bytes behind the extensions", records(fields{}.message(append(join(sni(name)), 0)), 999), why("the length of the extensions is not that of the hello")},
		{"extension beyond the end", records(fields{}.message(vector16([]byte{0, 0, 0, 9, 1})), 99), why("an extension is longer than the hello")},
		{"half an extension", records(fields{}.message(vector16([]byte{0})), 99), why("an extension is longer than the hello")},
		{"two server name extensions", whole(sni(name), sni("decoy.example")), why("an extension comes twice")},
		{"same extension far apart", whole(append(others(100), extension{kind: 0x4000})...), why("an extension comes twice")},
		{"too many extensions", whole(append(others(maxExtensions), sni(name))...), why("there are more than 128 extensions")},

		{"empty server name extension", whole(extension{extServerName, nil}), why("the server name extension is malformed")},
		{"bytes behind the server name list", whole(extension{extServerName, append(sni(name).data, 0)}), why("the server name extension is malformed")},
		{"empty server name list", whole(nameList()), why("the server name list is malformed")},
		{"server name beyond its list", whole(extension{extServerName, vector16([]byte{0, 0, 9, 'a'})}), why("the server name list is malformed")},
		{"two names", whole(nameList(nameEntry(0, name), nameEntry(0, "decoy.example"))), why("the server name list has more than one entry")},
		{"name beside an unknown type", whole(nameList(nameEntry(7, "x"), nameEntry(0, name))), why("the server name list has more than one entry")},
		{"unknown type alone", whole(nameList(nameEntry(7, name))), why("the server name is of an unknown type")},
		{"empty name", whole(sni("")), why("the server name is empty")},
		{"long name", whole(sni(text(256))), why("the server name is longer than 255 bytes")},
		{"NUL in the name", whole(sni("example.org\x00.kaspersky.com")), why("the server name holds a NUL byte")},

		{"empty protocol list", whole(alpn()), why("the protocol list extension is malformed")},
		{"bytes behind the protocol list", whole(extension{extALPN, append(alpn("h2").data, 0)}), why("the protocol list extension is malformed")},
		{"empty protocol", whole(alpn("h2", "")), why("the protocol list is malformed")},
		{"protocol beyond its list", whole(extension{extALPN, vector16([]byte{9, 'h'})}), why("the protocol list is malformed")},
		{"early data with content", whole(extension{extEarlyData, []byte{1}}), why("the early data extension is not empty")},
		{"empty encrypted hello", whole(extension{extECH, nil}), why("the encrypted hello extension is empty")},
	}
}

// upToBound is the beginning of a hello whose records end so near to MaxHeld that no further header
// fits.
func upToBound() []byte {
	const rest = MaxHeld % 64
	out := records(sized(MaxSize, name)[:MaxHeld/64*(64-recordHead)], 64-recordHead)
	fill := record(typeHandshake, make([]byte, 64+rest-recordHead-3))
	return append(out[:len(out)-64], fill...)
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range slices.Concat(readable(), unlawful()) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := Parse(tc.in); !equal(got, tc.want) {
				t.Errorf("Parse gives %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestParseEveryPrefix holds the promise of Parse: incomplete until there is an answer, and the same
// answer from then on. A readable hello has its answer with its last byte, not before.
func TestParseEveryPrefix(t *testing.T) {
	t.Parallel()
	for _, tc := range slices.Concat(readable(), unlawful()) {
		if len(tc.in) > 8<<10 {
			continue // TestReadByteByByte goes over the long ones
		}
		for i := range tc.in {
			got := Parse(tc.in[:i])
			if got.Kind != Incomplete && !equal(got, tc.want) {
				t.Errorf("%s: after %d of %d bytes %+v, want %+v", tc.name, i, len(tc.in), got, tc.want)
				break
			}
		}
	}
	in := whole(sni(name))
	if got := Parse(in[:len(in)-1]); got.Kind != Incomplete {
		t.Errorf("one byte short: %+v, want incomplete", got)
	}
}

// TestParseEarly wants an answer as soon as there can be one, so that nobody waits for a deadline.
func TestParseEarly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Kind{
		"":                         Incomplete,
		"G":                        NotTLS,
		"\x80":                     Incomplete,
		"\x80\x2e\x01":             Incomplete,
		"\x80\x2e\x02":             NotTLS,
		"\x15":                     Unreadable,
		"\x16":                     Incomplete,
		"\x16\x01":                 Unreadable,
		"\x16\x03\x01\x40":         Incomplete,
		"\x16\x03\x01\x40\x01":     Unreadable,
		"\x16\x03\x01\x01\x00\x02": Unreadable,
		"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03": Incomplete,
		"\x16\x03\x01\x01\x00\x01\x00\x00\xfb":     Unreadable, // a message of 255 bytes in a record of 256
	} {
		if got := Parse([]byte(in)); got.Kind != want {
			t.Errorf("Parse(%q) is %v, want %v", in, got.Kind, want)
		}
	}
}

func TestReadByteByByte(t *testing.T) {
	t.Parallel()
	for _, tc := range slices.Concat(readable(), unlawful()) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := bytes.NewReader(tc.in)
			got, held, err := Read(iotest.OneByteReader(r), nil)
			if err != nil || !equal(got, tc.want) {
				t.Fatalf("Read gives %+v, %v, want %+v", got, err, tc.want)
			}
			rest, _ := io.ReadAll(r)
			if !bytes.Equal(append(held, rest...), tc.in) {
				t.Error("the held bytes and the rest are not what was sent")
			}
			if cap(held) > MaxHeld {
				t.Errorf("%d bytes of memory, want at most %d", cap(held), MaxHeld)
			}
		})
	}
}

// TestReadSplit cuts a hello with early data behind it at every place.
func TestReadSplit(t *testing.T) {
	t.Parallel()
	want := Info{Kind: Hello, ServerName: name, ALPN: []string{"h2"}}
	for _, size := range []int{maxFragment, 7} {
		in := cat(records(message(sni(name), alpn("h2"), padding(100)), size), []byte("early"))
		for i := range in {
			r := io.MultiReader(bytes.NewReader(in[:i]), bytes.NewReader(in[i:]))
			got, held, err := Read(r, nil)
			if err != nil || !equal(got, want) {
				t.Fatalf("cut at %d: %+v, %v", i, got, err)
			}
			rest, _ := io.ReadAll(r)
			if !bytes.Equal(append(held, rest...), in) {
				t.Fatalf("cut at %d: the held bytes and the rest are not what was sent", i)
			}
		}
	}
}

func TestReadHeldBefore(t *testing.T) {
	t.Parallel()
	in := cat(whole(sni(name)), []byte("early"))
	refuses := iotest.ErrReader(errors.New("read when nothing is missing"))
	if got, held, err := Read(refuses, in); err != nil || got.ServerName != name || !bytes.Equal(held, in) {
		t.Errorf("all bytes given: %+v, %q, %v", got, held, err)
	}

	pooled := make([]byte, 0, 2<<10)
	got, held, err := Read(bytes.NewReader(in[9:]), append(pooled, in[:9]...))
	if err != nil || got.ServerName != name || !bytes.Equal(held, in) {
		t.Errorf("some bytes given: %+v, %q, %v", got, held, err)
	}
	if &held[0] != &pooled[:1][0] {
		t.Error("the spare capacity of held was not used")
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	in := whole(sni(name))
	half := in[:len(in)/2]
	for _, tc := range []struct {
		name string
		r    io.Reader
		held []byte
		err  error
	}{
		{"nothing", bytes.NewReader(nil), nil, io.EOF},
		{"half, then an end", bytes.NewReader(half), half, io.ErrUnexpectedEOF},
		{"half and the end at once", iotest.DataErrReader(bytes.NewReader(half)), half, io.ErrUnexpectedEOF},
		{"half, then the deadline", io.MultiReader(bytes.NewReader(half), iotest.ErrReader(os.ErrDeadlineExceeded)), half, os.ErrDeadlineExceeded},
		{"neither bytes nor an error", idle{}, nil, io.ErrNoProgress},
	} {
		got, held, err := Read(tc.r, nil)
		if !errors.Is(err, tc.err) || got.Kind != Incomplete || !bytes.Equal(held, tc.held) {
			t.Errorf("%s: %+v, %d bytes, %v; want incomplete, %d bytes, %v", tc.name, got, len(held), err, len(tc.held), tc.err)
		}
	}
	if got, _, err := Read(iotest.DataErrReader(bytes.NewReader(in)), nil); err != nil || got.Kind != Hello {
		t.Errorf("a hello and the end at once: %+v, %v; want the hello", got, err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// TestReadStopsReading feeds bytes for ever; the answer must come within the bounds of memory.
func TestReadStopsReading(t *testing.T) {
	t.Parallel()
	for _, tc := range []testCase{
		{"empty records", record(22, nil), Info{}},
		{"tiny records of one hello", records([]byte{1, 0, 0xff, 0xfc}, 1), Info{}},
		{"alerts", record(21, []byte{1, 0}), Info{}},
	} {
		endless := &repeat{pattern: record(22, []byte{0})}
		r := io.MultiReader(bytes.NewReader(tc.in), endless)
		got, held, err := Read(r, nil)
		if got.Kind != Unreadable || err != nil || cap(held) > MaxHeld {
			t.Errorf("%s: %+v, %v, %d bytes", tc.name, got, err, cap(held))
		}
	}
}

// repeat is a reader without an end.
type repeat struct {
	pattern []byte
	at      int
}

func (r *repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.pattern[r.at%len(r.pattern)]
		r.at++
	}
	return len(p), nil
}

func TestKindString(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprint(Incomplete, NotTLS, Unreadable, Hello); got != "incomplete not-tls unreadable hello" {
		t.Error(got)
	}
}

func equal(a, b Info) bool {
	return a.Kind == b.Kind && a.ServerName == b.ServerName && a.ECH == b.ECH &&
		slices.Equal(a.ALPN, b.ALPN) && a.EarlyData == b.EarlyData && a.Why == b.Why
}
