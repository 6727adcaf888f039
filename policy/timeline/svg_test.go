package timeline_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/timeline"
)

var update = flag.Bool("update", false, "write the pictures in testdata anew")

// Stays, licences, floors, lifted stays, assumed hours, and what is not enforced.
const manyTexts = `version: 1
sites:
  - {name: apps, networks: [10.30.0.0/16], jurisdictions: [US-app-provider, US-exporter, US-fcc-grantee]}
restrictions:
  - {id: us-pafaca, mode: enforce}
  - {id: us-huawei-entity-list, mode: enforce}
  - {id: us-fcc-routers, mode: enforce}
  - {id: us-tiktok-2020, mode: monitor}
settings: {mode: "off"}
`

func draw(tb testing.TB, p *policy.Policy, opts *timeline.Options) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := build(tb, p, opts).WriteSVG(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestPicture(t *testing.T) {
	t.Parallel()
	const golden = "testdata/many.svg"
	got := draw(t, compile(t, manyTexts), &timeline.Options{
		At: mustTime("2026-12-01T00:00:00Z"), Vendors: []string{"bytedance", "huawei", "netgear", "tp-link"}, Sites: []string{"apps"},
	})
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the picture is not %s; look at it after go test ./policy/timeline -update", golden)
	}
	for _, mark := range []string{"eo-14352 until 2026-01-23", "tgl-extension-5 until 2020-08-14", "at least until 2029-01-01", "until lifted 2021-06-16", "NOT ENFORCED: mode monitor", "now, 2026-12-01"} {
		if !bytes.Contains(got, []byte(mark)) {
			t.Errorf("the picture does not tell %q", mark)
		}
	}
}

var place = regexp.MustCompile(`^-?[0-9]+(\.[0-9])?$`)

// Whatever the policy and the window, a picture is one well-formed document that fetches and runs nothing, is the same when it is
// drawn again, and has nothing outside its frame.
func TestPicturesAreSound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := randomPolicy(t, r)
		opts := &timeline.Options{At: mustTime("2025-01-01T00:00:00Z")}
		if seed%2 == 0 {
			opts.From = mustTime("2024-01-01T00:00:00Z").AddDate(0, 0, r.IntN(900)-300)
		}
		if seed%3 == 0 {
			opts.To = mustTime("2026-08-01T00:00:00Z").AddDate(0, 0, r.IntN(1000))
		}
		got := draw(t, p, opts)
		if !bytes.Equal(got, draw(t, p, opts)) {
			t.Fatalf("seed %d: drawn twice, it differs", seed)
		}
		for _, bad := range []string{"<script", "http://", "https://", "@import", "Zgotmplz", "NaN", "Inf"} {
			if strings.Contains(strings.Replace(string(got), "http://www.w3.org/2000/svg", "", 1), bad) {
				t.Errorf("seed %d: the picture holds %q", seed, bad)
			}
		}
		checkPlaces(t, seed, got)
	}
}

func checkPlaces(t *testing.T, seed uint64, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	limit := map[string]float64{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "svg" && start.Name.Local != "text" && start.Name.Local != "line" {
			continue
		}
		for _, a := range start.Attr {
			name := strings.TrimRight(a.Name.Local, "12")
			if start.Name.Local == "svg" && (name == "width" || name == "height") {
				limit[map[string]string{"width": "x", "height": "y"}[name]], _ = strconv.ParseFloat(a.Value, 64)
			}
			if name != "x" && name != "y" {
				continue
			}
			at, _ := strconv.ParseFloat(a.Value, 64)
			if !place.MatchString(a.Value) || at < 0 || at > limit[name] {
				t.Errorf("seed %d: %s has %s=%q outside %v", seed, start.Name.Local, a.Name.Local, a.Value, limit[name])
			}
		}
	}
}

// A window that lies before, around or behind the present has its bands, and the line of the present only where it belongs.
func TestWindow(t *testing.T) {
	t.Parallel()
	p := compile(t, "version: 1\nrestrictions: [{id: us-icts-2021-002, mode: enforce}]\ndefault-site: {jurisdictions: [US]}\nsettings: {mode: \"off\"}\n")
	for _, test := range []struct {
		from, to    string
		has, hasNot string
	}{
		{"2024-06-01T00:00:00Z", "2024-07-01T00:00:00Z", "2024-06-20 [", "now, "},
		{"2024-07-01T00:00:00Z", "2024-09-20T00:00:00Z", "now, 2024-09-15", "2024-09-29"},
		{"2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z", ">blocked</text>", "now, "},
	} {
		got := string(draw(t, p, &timeline.Options{At: mustTime("2024-09-15T12:00:00Z"), From: mustTime(test.from), To: mustTime(test.to)}))
		got = regexp.MustCompile(`<title>[^<]*</title>`).ReplaceAllString(got, "")
		if !strings.Contains(got, test.has) || strings.Contains(got, test.hasNot) {
			t.Errorf("%s to %s: has %q: %t, has %q: %t", test.from, test.to, test.has, strings.Contains(got, test.has), test.hasNot, strings.Contains(got, test.hasNot))
		}
	}
}
