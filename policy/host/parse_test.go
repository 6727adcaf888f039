package host

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

// long is a name of the greatest length: 63+1+63+1+63+1+61.
var long = strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 61)

var accepted = []struct{ in, want string }{
	// Names.
	{"example.com", "example.com"},
	{"EXAMPLE.Com", "example.com"},
	{"example.com.", "example.com"},
	{"localhost", "localhost"},
	{"r3---sn-apo3qvuoxuxbt-j5pe.googlevideo.com", "r3---sn-apo3qvuoxuxbt-j5pe.googlevideo.com"},
	{"my_host.example", "my_host.example"},
	{"_dmarc.example", "_dmarc.example"},
	{"a--b.example", "a--b.example"},
	{"1and1.com", "1and1.com"},
	{"127.0.0.1.example", "127.0.0.1.example"},
	{"1.2.3.4a", "1.2.3.4a"},
	{"0x7g.example", "0x7g.example"},
	{"a.0xg", "a.0xg"},
	{"a.1e3", "a.1e3"},
	{strings.Repeat("a", 63), strings.Repeat("a", 63)},
	{long, long},
	{long + ".", long},

	// IDNA.
	{"bücher.example", "xn--bcher-kva.example"},
	{"BÜCHER.Example", "xn--bcher-kva.example"},
	{"bu\u0308cher.example", "xn--bcher-kva.example"},
	{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
	{"xn--bcher-kva.example", "xn--bcher-kva.example"},
	{"faß.de", "xn--fa-hia.de"}, // transitional mapping would make it fass.de, another host
	{"пример.рф", "xn--e1afmkfd.xn--p1ai"},
	{"例え。テスト", "xn--r8jz45g.xn--zckzah"},
	{"a。b．c｡d.e。", "a.b.c.d.e"},
	{"ｅｘａｍｐｌｅ.com", "example.com"},
	{"☕.example", "xn--53h.example"},
	{"1.xn--4dbrk0ce", "1.xn--4dbrk0ce"},
	{"ü-.example", "xn----dha.example"},             // the hyphen rule is about the A-label
	{"نامه\u200cای.com", "xn--mgba3gch31f060k.com"}, // a joiner where RFC 5892 wants one is kept, not dropped

	// Addresses.
	{"127.0.0.1", "127.0.0.1"},
	{"0.0.0.0", "0.0.0.0"},
	{"255.255.255.255", "255.255.255.255"},
	{"::1", "::1"},
	{"[::1]", "::1"},
	{"::", "::"},
	{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
	{"[2001:0db8::0001]", "2001:db8::1"},
	{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"::ffff:192.0.2.1", "192.0.2.1"},
	{"[::FFFF:c000:201]", "192.0.2.1"},
	{"0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"},
	{"::192.0.2.1", "::c000:201"}, // IPv4-compatible is not IPv4-mapped
	{"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
}

const (
	notIPv4  = "ends in a number but is not an IPv4 address of four plain decimals"
	notIPv6  = "not an IPv6 address, and no port belongs here"
	percent  = `a "%": neither percent-encoding nor an address zone is read`
	userinfo = `an "@": a host carries no user name`
	hyphen   = `a label that starts or ends with "-"`
	badPuny  = `an "xn--" label that does not encode an IDNA label`
	control  = "a control character"
	wideAddr = "characters beyond ASCII that make an address"
)

var refused = []struct{ in, reason string }{
	// Dots, labels, lengths.
	{"", "no host"},
	{".", "an empty label"},
	{"..", "an empty label"},
	{".example.com", "an empty label"},
	{"a..b", "an empty label"},
	{"example.com..", "an empty label"},
	{"example.com.。", "an empty label"},
	{"。", "an empty label"},
	{"-a.example", hyphen},
	{"a-.example", hyphen},
	{"-", hyphen},
	{strings.Repeat("a", 64) + ".example", "a label longer than 63 bytes"},
	{strings.Repeat("ü", 60) + ".example", "a label longer than 63 bytes"},
	{long + "d", "longer than 253 bytes"},
	{strings.Repeat("a.", 127) + "a", "longer than 253 bytes"},
	{strings.Repeat("a", 1025), "longer than any host name"},

	// What belongs to URLs, or to nothing.
	{"ex%61mple.com", percent},
	{"example.com%00", percent},
	{"user@example.com", userinfo},
	{"user:secret@example.com", userinfo},
	{"https://example.com", `a "/": a host is named alone, not as a URL`},
	{"example.com/x", `a "/": a host is named alone, not as a URL`},
	{"example.com?x", `a "?": a host is named alone, not as a URL`},
	{"example.com#x", `a "#": a host is named alone, not as a URL`},
	{`example.com\x`, `a "\\"`},
	{"a;b", `a ";"`},
	{"a,b", `a ","`},
	{"*.example.com", `a "*"`},
	{"a!b", `a "!"`},
	{`a"b`, `a "\""`},
	{"example.com:443", notIPv6},
	{"bücher.example:443", notIPv6},

	// Blanks, controls, bytes.
	{" example.com", "a blank"},
	{"example.com ", "a blank"},
	{"a\tb", control},
	{"a\nb", control},
	{"example.com\r\n", control},
	{"a\x00b", control},
	{"a\x7fb", control},
	{"a\u0085b", "a blank (U+0085)"},
	{"a\u0080b", "a control character (U+0080)"},
	{"a\u00a0b", "a blank (U+00A0)"},
	{"a\u2003b", "a blank (U+2003)"},
	{"a\u3000b", "a blank (U+3000)"},
	{"a\u2028b", "a blank (U+2028)"},
	{"a\xffb", "not valid UTF-8"},
	{"a\xc0\xaeb", "not valid UTF-8"},
	{"a\xed\xa0\x80b", "not valid UTF-8"},
	{"b\xfccher.example", "not valid UTF-8"},

	// Characters that vanish, or turn into syntax.
	{"kasper\u00adsky.com", "a character that is ignored (U+00AD)"},
	{"a\u200bb", "a character that is ignored (U+200B)"},
	{"a\u2060b", "a character that is ignored (U+2060)"},
	{"a\ufeffb", "a character that is ignored (U+FEFF)"},
	{"a\ufe0fb", "a character that is ignored (U+FE0F)"},
	{"a\u034fb", "a character that is ignored (U+034F)"},
	{"a\U000e0100b", "a character that is ignored (U+E0100)"},
	{"\u00ad", "a character that is ignored (U+00AD)"},
	{"a％41", `a character that becomes "%" (U+FF05)`},
	{"user＠example.com", `a character that becomes "@" (U+FF20)`},
	{"a／b", `a character that becomes "/" (U+FF0F)`},
	{"a：80", `a character that becomes ":" (U+FF1A)`},
	{"℀.example", `a character that becomes "a/c" (U+2100)`},
	{"［::1］", notIPv6},
	{"a\u202eb", "a character that IDNA does not allow (U+202E)"},
	{"a\ufffdb", "a character that IDNA does not allow (U+FFFD)"},
	{"a\U0010ffffb", "a character that IDNA does not allow (U+10FFFF)"},
	{"\u0301a.example", "not a name by IDNA (UTS 46)"},
	{"a\u200cb.example", "not a name by IDNA (UTS 46)"},

	// Punycode.
	{"xn--", hyphen},
	{"xn--a-", hyphen},
	{"xn--a.example", badPuny},
	{"xn--abc.example", badPuny},
	{"xn--99999999.example", badPuny},
	{"xn--bcher-kv.example", badPuny},
	{"xn--ls8h-.example", hyphen},
	{"xn--\u00fc-xyz.example", `an "xn--" label with characters beyond ASCII`},
	{"ｘｎ--\u00fc.example", `an "xn--" label with characters beyond ASCII`},

	// Addresses in other notations.
	{"127.1", notIPv4},
	{"127.0.1", notIPv4},
	{"1", notIPv4},
	{"2130706433", notIPv4},
	{"4294967297", notIPv4},
	{"0177.0.0.1", notIPv4},
	{"127.0.0.01", notIPv4},
	{"127.000.000.001", notIPv4},
	{"0x7f.0.0.1", notIPv4},
	{"0X7F000001", notIPv4},
	{"0x7f000001", notIPv4},
	{"127.0.0.0x1", notIPv4},
	{"0x", notIPv4},
	{"example.0x", notIPv4},
	{"example.123", notIPv4},
	{"256.0.0.1", notIPv4},
	{"1.2.3.4.5", notIPv4},
	{"1.2.3.4294967296", notIPv4},
	{"127.0.0.1.", "a trailing dot after an address"},
	{"１２７.0.0.1", wideAddr},
	{"127。0。0。1", wideAddr},
	{"①②③", wideAddr},
	{"bücher.１", wideAddr},
	{"[127.0.0.1]", notIPv6},
	{"[::1", `a "[" without a "]" at the end`},
	{"[", `a "[" without a "]" at the end`},
	{"[]", notIPv6},
	{"::1]", "a stray bracket"},
	{"[[::1]]", "a stray bracket"},
	{"a[b", "a stray bracket"},
	{"[example.com]", notIPv6},
	{"[::1]:443", `a "[" without a "]" at the end`},
	{":", notIPv6},
	{":::", notIPv6},
	{"::1::", notIPv6},
	{"1:2:3:4:5:6:7", notIPv6},
	{"1:2:3:4:5:6:7:8:9", notIPv6},
	{"12345::", notIPv6},
	{"::ffff:127.0.0.01", notIPv6},
	{"::ffff:256.0.0.1", notIPv6},
	{"fe80::1%eth0", percent},
	{"[fe80::1%25eth0]", percent},
	{"::1.", notIPv6},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range accepted {
		n, err := Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%+q): %v", c.in, err)
			continue
		}
		if n.String() != c.want {
			t.Errorf("Parse(%+q) = %q, want %q", c.in, n, c.want)
		}
		if again, err := Parse(n.String()); again != n {
			t.Errorf("Parse(%q) of a canonical text = %q, %v", n, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range refused {
		n, err := Parse(c.in)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("Parse(%+q) = %q, %v; want the reason %q", c.in, n, err, c.reason)
			continue
		}
		if e.Reason != c.reason || e.Input != c.in || e.Kind != "host" {
			t.Errorf("Parse(%+q): %s %+q: %q, want the reason %q", c.in, e.Kind, e.Input, e.Reason, c.reason)
		}
		if !n.IsZero() {
			t.Errorf("Parse(%+q) = %q beside its error", c.in, n)
		}
	}
}

func TestParseEveryCharacter(t *testing.T) {
	t.Parallel()
	for r := range rune(0x20000) {
		if 0x3400 <= r && r < 0xf900 || 0x16000 <= r && r < 0x1b000 {
			continue // ideographs, Hangul, private use: many and alike
		}
		in := "a" + string(r) + "b.example"
		n, err := Parse(in)
		if err != nil {
			continue
		}
		if !dull(n.String()) {
			t.Errorf("%U: Parse = %q, which is not canonical", r, n)
		}
		if again, err := Parse(n.String()); again != n {
			t.Errorf("%U: Parse = %q, and of that %q, %v", r, n, again, err)
		}
		if n.String() == "ab.example" || unicode.IsSpace(r) || unicode.IsControl(r) {
			t.Errorf("%U: Parse = %q", r, n)
		}
	}
}

func TestParseKeepsInput(t *testing.T) {
	for _, s := range []string{"dnl-01.geo.kaspersky.com", "my_host.example.", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"} {
		if got := testing.AllocsPerRun(100, func() { sink, _ = Parse(s) }); got != 0 {
			t.Errorf("Parse(%q): %v allocations, want none", s, got)
		}
	}
}

func TestMustParse(t *testing.T) {
	t.Parallel()
	if got := MustParse("Example.com").String(); got != "example.com" {
		t.Errorf("MustParse = %q", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("MustParse of a bad host does not panic")
		}
	}()
	MustParse("a..b")
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a..b":                        `host "a..b": an empty label`,
		"a\x1b[31m\n..b":              `host "a\x1b[31m\n..b": a control character`,
		"user:secret@example.com":     `host "***@example.com": an "@": a host carries no user name`,
		"secret＠example.com":          `host "***\uff20example.com": a character that becomes "@" (U+FF20)`,
		strings.Repeat("a.", 200):     `host "` + strings.Repeat("a.", 50) + `"... (400 bytes): longer than 253 bytes`,
		strings.Repeat("日", 40) + " ": `host "` + strings.Repeat(`\u65e5`, 33) + `"... (121 bytes): a blank`,
		strings.Repeat("\xbf", 101):   `host "` + strings.Repeat(`\xbf`, 96) + `"... (101 bytes): not valid UTF-8`,
	} {
		if _, err := Parse(in); err == nil || err.Error() != want {
			t.Errorf("Parse(%+q): %v\nwant %s", in, err, want)
		}
	}
}

var sink Name

func BenchmarkParse(b *testing.B) {
	for _, s := range []string{"dnl-01.geo.kaspersky.com", "DNL-01.Geo.Kaspersky.com", "bücher.example", "xn--bcher-kva.example", "192.0.2.1", "[2001:db8::1]", "a..b"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink, _ = Parse(s)
			}
		})
	}
}
