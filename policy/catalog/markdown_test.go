package catalog_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy/catalog"
)

var (
	heading  = regexp.MustCompile(`(?m)^### (.+)$`)
	internal = regexp.MustCompile(`\]\(#([^)]+)\)`)
)

// The page of the catalogue in the binary has a heading for every restriction and vendor, each once, and no link to another place.
func TestMarkdownLinks(t *testing.T) {
	t.Parallel()
	c := load(t, "", false)
	want := vendorIDs(c)
	for i := range c.Restrictions {
		want = append(want, c.Restrictions[i].ID)
	}
	var page strings.Builder
	if err := catalog.Markdown(&page, c, ""); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range heading.FindAllStringSubmatch(page.String(), -1) {
		got = append(got, m[1])
	}
	for _, m := range internal.FindAllStringSubmatch(page.String(), -1) {
		if !slices.Contains(got, m[1]) {
			t.Errorf("a link leads to #%s", m[1])
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("headings %s, want %s", got, want)
	}
}

// TestMarkdown looks at the page of an operator's catalogue.
func TestMarkdown(t *testing.T) {
	t.Parallel()
	root := dir(t, map[string]string{
		"vendors/acme.yaml": `vendor: acme
name: "Acme | [Works]"
sources:
  own: {title: The manual, checked: 2026-11-23, grade: primary, note: read in part}
  log: {title: A log, checked: 2026-11-24, grade: observed}
endpoints:
  - {host: ["u{08..11}.acme.example", a2.acme.example, a1.acme.example, "b{1,2}.acme.example"], channels: [signatures], sources: [own, log]}
  - {zone: shop.acme.example, ports: [443, 8000-8010], paths: ["/a/*"], channels: [sales, corporate], sources: [{id: log, note: "weak"}]}
  - {list: names.txt, channels: [codebase], sources: [own]}
`,
		"vendors/names.txt": "x.example\n",
		"restrictions/r.yaml": `restriction: r
title: "An order_of a*b <c>"
strength: directive
verified: false
zone: Europe/Berlin
note: "What it says."
revisions:
  - published: 2024-01-01
    source: {title: An order, citation: 1 O 1, url: "https://orders.example/1", checked: 2026-11-23, grade: primary}
    binds: [XX]
    vendors: [acme]
    exempt: [training]
    phases:
      - {from: 2024-02-01, effect: grace, channels: [signatures, sales]}
      - {from: 2024-07-01, effect: block, channels: [signatures, sales], assumed: "no hour"}
  - published: 2024-03-01
    source: {title: An amendment, checked: 2026-11-23, grade: secondary}
    binds: [XX, YY]
    vendors: [acme]
    phases:
      - {from: 2024-02-01, effect: grace, channels: [signatures, sales]}
      - {from: 2024-08-01, effect: block, channels: [signatures, sales], assumed: "no hour"}
    floors: [{channels: [codebase], at-least-until: 2025-01-01T00:00:00+01:00}]
stays:
  - {id: s, published: 2024-09-02, from: 2024-09-01, channels: [sales], source: {title: A court, checked: 2026-11-23, grade: secondary}}
  - {lifts: s, published: 2024-10-01, source: {title: A court, checked: 2026-11-23, grade: secondary}}
licences:
  - {id: l, published: 2024-09-01, from: 2024-09-01, until: {through: 2024-09-30}, channels: [signatures], vendors: [acme],
     condition: "for old devices", source: {title: A licence, checked: 2026-11-23, grade: secondary}}
`,
		"jurisdictions.yaml": `jurisdictions: [{id: XX, name: Those}]`,
	})
	var page strings.Builder
	if err := catalog.Markdown(&page, load(t, root, true), "drawn"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(page.String(), "\n")
	for _, want := range []string{
		`| [r](#r)<br>An order\_of a\*b \<c><br>2024-02-01 to 2025-01-01 | XX, YY | directive | secondary | no |`,
		"- Strength: directive, not verified.",
		"- Bound: `XX` (Those); `YY`.",
		"- Exempt: training.",
		"- No separable endpoint of [acme](#acme) is known for: sales.",
		"- Zone: Europe/Berlin.",
		"What it says.",
		"![What r allows until when](drawn/r.svg)",
		"| 2024-01-01T00:00:00+01:00<br>2023-12-31T23:00:00Z | text published |  | 2024-01-01 | 1 |",
		"| 2024-02-01T00:00:00+01:00<br>2024-01-31T23:00:00Z | grace | signatures, sales | 2024-01-01 | 1 |",
		"| 2024-07-01T00:00:00+02:00<br>2024-06-30T22:00:00Z | block (a) | signatures, sales | 2024-01-01 to 2024-03-01 | 1 |",
		"| 2024-08-01T00:00:00+02:00<br>2024-07-31T22:00:00Z | block (a) | signatures, sales | 2024-03-01 | 2 |",
		"| 2024-09-01T00:00:00+02:00<br>2024-08-31T22:00:00Z | stay `s` begins | sales | 2024-09-02 | 3 |",
		"| 2024-10-01T00:00:00+02:00<br>2024-09-30T22:00:00Z | stay `s` is lifted | sales | 2024-10-01 | 3 |",
		"| 2024-10-01T00:00:00+02:00<br>2024-09-30T22:00:00Z | licence `l` ends | signatures | 2024-09-01 | 4 |",
		"| 2025-01-01T00:00:00+01:00<br>2024-12-31T23:00:00Z | floor: permitted at least until here | codebase | 2024-03-01 | 2 |",
		"- (a) no hour",
		"- `l`, for [acme](#acme): for old devices",
		"1. [An order](<https://orders.example/1>), 1 O 1; primary, checked 2026-11-23",
		"2. An amendment; secondary, checked 2026-11-23",
		`Acme \| \[Works\]. Named by [r](#r).`,
		"| `u{08..11}.acme.example`, `a2.acme.example`, `a1.acme.example`, `b1.acme.example`, `b2.acme.example` | signatures | primary | `own`, `log` (observed) |",
		"| `.shop.acme.example`<br>ports 443, 8000-8010<br>paths `/a/*` | sales, corporate | observed | `log` (weak) |",
		"- `own`: The manual; checked 2026-11-23; read in part",
		"- `log`: A log; checked 2026-11-24",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(page.String())
	}
}
