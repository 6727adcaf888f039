package report

import (
	"encoding/csv"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hostile is what strangers could put into a user name.
var hostile = []string{
	"=HYPERLINK(\"http://evil.example/\",\"x\")", "+1+1|cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1",
	"<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'onmouseover='x", "{{.Title}}", "</style></title><b>",
	"a\nb: c\r\n- d", "\x1b[31mred\x1b[0m", "line\u2028separator\u2029end", "\u202eevil\u202c", "bad \xff\xfe utf-8", "nul\x00", "a|b|c", "[click](http://evil.example)",
	"https://evil.example www.evil.example", "`code` *b* _i_ # h ~~s~~", `back\slash\x1b`, strings.Repeat("long ", 64<<10/5),
}

// smallRecords is a case for the eye: each kind of device and of outcome once or twice.
func smallRecords(p *policy.Policy) []*audit.Record {
	at := func(text string) time.Time {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			panic(err) // a mistake of the test
		}
		return t
	}
	ask := func(when, kind string, f policy.Facts, client, mac, user string, in, out int64) *audit.Record {
		f.Client, f.MAC, f.User = netip.MustParseAddr(client), mac, user
		r := record(p, at(when), kind, f)
		r.BytesIn, r.BytesOut = in, out
		return r
	}
	cut := ask("2024-09-29T04:00:00.0000012Z", "tunnel", tunnelTo("s01.upd.acme.example"), "10.10.3.4", "", "", 900, 5<<20)
	cut.Event, cut.Ended = audit.End, "cut"
	guarded := ask("2024-09-25T10:00:00Z", "tunnel", tunnelTo("s01.upd.acme.example"), "10.10.3.4", "", "", 0, 0)
	guarded.Event, guarded.Guard = audit.Refused, "port"
	opaque := ask("2024-09-30T11:00:00Z", "tunnel", policy.Facts{
		Stage: policy.StageHello, Method: "CONNECT", Scheme: "https", Authority: tunnelTo("s02.upd.acme.example").Authority, Port: 443, Hello: policy.HelloUnreadable,
	}, "10.20.0.7", "", "", 0, 0)
	// A device under two addresses, which has a name since the second.
	abroad := ask("2024-10-01T12:00:00Z", "tunnel", tunnelTo("cloud.acme.example"), "10.30.0.1", "00:16:3e:00:00:04", "jp-desk-4", 517, 0)
	home := ask("2024-10-01T13:00:00Z", "tunnel", tunnelTo("cloud.acme.example"), "10.10.0.1", "00:16:3e:00:00:04", "", 517, 0)
	home.Hostname = "laptop-7"
	return []*audit.Record{
		ask("2024-09-15T08:00:00Z", "plain", plainTo("dl1.upd.acme.example", "/index/u1.xml"), "10.10.3.4", "", "", 300, 1<<20),
		ask("2024-09-28T23:59:59.999999999-04:00", "tunnel", tunnelTo("s01.upd.acme.example"), "10.10.3.4", "", "", 800, 3<<20),
		cut, guarded, opaque,
		ask("2024-10-02T09:30:00Z", "tunnel", tunnelTo("s01.upd.acme.example"), "10.10.3.4", "", "", 517, 0),
		ask("2024-10-03T09:30:00Z", "tunnel", tunnelTo("s02.upd.acme.example"), "10.10.3.4", "", "", 517, 0),
		abroad, home,
		ask("2024-10-04T10:00:00Z", "tunnel", tunnelTo("s03.upd.acme.example"), "10.10.0.10", "", "", 700, 9<<20),
		ask("2024-10-05T10:00:00Z", "tunnel", tunnelTo("s04.upd.acme.example"), "10.20.5.5", "", "", 517, 0),
		ask("2024-10-05T11:00:00Z", "tunnel", tunnelTo("d1.upd.bear.example"), "10.20.5.5", "", "", 600, 2<<20),
		ask("2024-10-06T10:00:00Z", "tunnel", tunnelTo("tele.bear.example"), "10.10.3.4", "", "", 600, 10),
		ask("2024-10-06T10:00:00Z", "tunnel", tunnelTo("games.example"), "10.10.3.4", "", "", 517, 0),
		ask("2024-10-06T12:00:00Z", "tunnel", tunnelTo("intel.acme.example"), "10.10.3.4", "", "", 600, 1000),
		ask("2024-10-07T00:00:00Z", "tunnel", tunnelTo("s01.upd.acme.example"), "10.20.0.8", "", "", 600, 1000),
	}
}

func smallReport(tb testing.TB) *Report {
	tb.Helper()
	p := testPolicy(tb)
	return build(tb, p, monthOptions(), sum(smallRecords(p)))
}

func TestGolden(t *testing.T) {
	t.Parallel()
	r := smallReport(t)
	empty := build(t, testPolicy(t), &Options{At: monthUntil, Since: monthSince.Add(time.Minute), Until: monthSince.Add(26 * time.Hour), Vendor: "acme"}, nil)
	for format := range formats {
		for name, r := range map[string]*Report{"small": r, "empty": empty} {
			got, file := written(t, r, format), filepath.Join("testdata", name+"."+format)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", file, diff)
			}
		}
	}
}

// hostileReport has a device for each hostile user name, and hostile words where else they could come from a record.
func hostileReport(tb testing.TB) *Report {
	tb.Helper()
	p := testPolicy(tb)
	var list []*audit.Record
	for i, name := range hostile {
		f := tunnelTo("s01.upd.acme.example")
		f.Client, f.User = netip.AddrFrom4([4]byte{10, 10, 1, byte(i)}), name
		rec := record(p, monthSince.Add(time.Duration(i)*time.Hour*29), "tunnel", f)
		list = append(list, rec)
		byName := *rec
		byName.MAC, byName.Hostname, byName.Site, byName.Vendor = name, name, name, name
		list = append(list, &byName)
		waived := *rec
		waived.State, waived.Cause = policy.Waived, policy.Cause{Kind: "waiver", ID: name}
		list = append(list, &waived)
		guarded := *rec
		guarded.Guard = name
		list = append(list, &guarded)
	}
	o := monthOptions()
	o.Operator, o.Gateway, o.Vendor, o.Site = Operator{hostile[0], hostile[7], "javascript:alert(1)"}, hostile[8], hostile[12], hostile[13]
	o.Integrity.Problem, o.Integrity.Verified = hostile[12], false
	return build(tb, p, o, sum(list))
}

// Whatever a stranger chose, each format holds it as one line, or cell, of what can be shown.
func TestHostile(t *testing.T) {
	t.Parallel()
	r := hostileReport(t)
	for format := range formats {
		text := written(t, r, format)
		for _, c := range text {
			if c != '\n' && c != '\r' && !unicode.IsPrint(c) || c == unicode.ReplacementChar {
				t.Errorf("%s has %U", format, c)
				break
			}
		}
		if strings.Contains(text, "\r") && format != "csv" {
			t.Errorf("%s has a carriage return", format)
		}
		if n := strings.Count(text, "long long"); format != "json" && format != "csv" && (n == 0 || n > 40*len(hostile)*60) {
			t.Errorf("%s has the long one %d times", format, n)
		}
		if len(text) > 2<<20 {
			t.Errorf("%s has %d bytes", format, len(text))
		}
	}
	checkLines(t, written(t, r, "txt"), written(t, r, "md"))
	checkCells(t, written(t, r, "csv"), len(r.Attempts))
	var decoded Report
	if err := json.Unmarshal([]byte(written(t, r, "json")), &decoded); err != nil {
		t.Error(err)
	}
	checkPage(t, written(t, r, "html"))
}

// checkLines tells whether text of a stranger stands at the beginning of a line, or as markup within one.
func checkLines(t *testing.T, text, markdown string) {
	t.Helper()
	for line := range strings.SplitSeq(text+markdown, "\n") {
		if strings.HasPrefix(line, "b: c") || line == "- d" {
			t.Errorf("a line is injected: %q", line)
		}
	}
	escaped := regexp.MustCompile(`\\.`)
	columns := 0
	for line := range strings.SplitSeq(markdown, "\n") {
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		n := strings.Count(escaped.ReplaceAllString(line, ""), "|")
		if columns != 0 && n != columns {
			t.Errorf("a row has %d bars, the one before it %d: %q", n, columns, line)
		}
		columns = n
	}
	markdown = escaped.ReplaceAllString(markdown, "")
	for _, live := range []string{"](http", "<", "https://evil", "www.evil", " `code`", " *b*", "~~s"} {
		if strings.Contains(markdown, live) {
			t.Errorf("Markdown has %q", live)
		}
	}
}

func checkCells(t *testing.T, text string, rows int) {
	t.Helper()
	table, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(table) != rows+1 {
		t.Fatalf("%d rows, want %d and a head: %v", len(table), rows, err)
	}
	if strings.Count(text, "\n") != strings.Count(text, "\r\n") || strings.Count(text, "\n") != rows+1 {
		t.Errorf("a cell has lines of its own")
	}
	for _, row := range table {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r\uff1d\uff0b\uff0d\uff20", []rune(cell)[0]) {
				t.Errorf("a formula: %q", cell)
			}
		}
	}
}

var (
	element   = regexp.MustCompile(`<([a-z0-9]+)((?:\s+[a-zA-Z0-9-]+(?:="[^"]*")?)*)\s*/?>`)
	attribute = regexp.MustCompile(`([a-zA-Z0-9-]+)="([^"]*)"`)
)

// checkPage tells whether a page has nothing that runs, nothing from elsewhere, and no element that the template has not.
func checkPage(t *testing.T, page string) {
	t.Helper()
	page = page[:strings.Index(page, "<style>")] + page[strings.Index(page, "</style>"):]
	known := map[string]bool{}
	for name := range strings.FieldsSeq("html head meta title style body main header footer section nav p h1 h2 dl div dt dd ul ol li a code time strong table thead tbody tr th td br span figure figcaption svg g rect line path text details summary b") {
		known[name] = true
	}
	for _, m := range element.FindAllStringSubmatch(page, -1) {
		if !known[m[1]] {
			t.Errorf("an element of its own: %s", m[0])
		}
		for _, a := range attribute.FindAllStringSubmatch(m[2], -1) {
			switch name := strings.ToLower(a[1]); {
			case strings.HasPrefix(name, "on"), name == "src", name == "style", name == "id" && m[1] != "h2":
				t.Errorf("an attribute of its own: %s", m[0])
			case name == "href" && !strings.HasPrefix(a[2], "https://") && !strings.HasPrefix(a[2], "#"):
				t.Errorf("a link: %s", m[0])
			}
		}
	}
	if rest := element.ReplaceAllString(page, ""); strings.Contains(regexp.MustCompile(`</[a-z0-9]+>|<!DOCTYPE html>`).ReplaceAllString(rest, ""), "<") {
		t.Error("the page has a < that is no element of the template")
	}
}

// The policy that the page brings along allows its own style, by digest, and nothing else.
func TestPageStandsAlone(t *testing.T) {
	t.Parallel()
	page := written(t, smallReport(t), "html")
	checkPage(t, page)
	style := page[strings.Index(page, "<style>")+len("<style>") : strings.Index(page, "</style>")]
	if style != pageStyle {
		t.Error("the style is not the one that its digest was made of")
	}
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if len(policy) != 2 || !strings.HasPrefix(policy[1], "default-src &#39;none&#39;; style-src &#39;sha256-") || strings.Contains(policy[1], "unsafe") {
		t.Errorf("%q", policy)
	}
	if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style fetches something")
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "plain": "plain", "Ä 漢": "Ä 漢", "a\nb": `a\x0ab`, "\x1b[0m": `\x1b[0m`, "\u2028": `\u2028`, "\U000e0001": `\U000e0001`, "\xff": `\xff`,
		"\ufffd": "\ufffd", `CORP\alice`: `CORP\alice`, strings.Repeat("x", maxText): strings.Repeat("x", maxText),
		strings.Repeat("x", maxText+1): strings.Repeat("x", maxText) + cutMark, strings.Repeat("é", maxText): strings.Repeat("é", maxText/2) + cutMark,
		strings.Repeat("x", maxText-1) + "\x00": strings.Repeat("x", maxText-1) + cutMark,
	} {
		if got := clean(in); got != want {
			t.Errorf("%.30q is %.60q, want %.60q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if len(got) > maxText+len(cutMark) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) && r != unicode.ReplacementChar }) {
			t.Errorf("%q", got)
		}
		if cell := audit.Cell(got); cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			t.Errorf("%q", cell)
		}
		if strings.ContainsAny(regexp.MustCompile(`\\.`).ReplaceAllString(literal(got), ""), "|<`*[]") {
			t.Errorf("%q", literal(got))
		}
	})
}
