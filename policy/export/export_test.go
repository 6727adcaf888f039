package export_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/export"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/source"
)

var update = flag.Bool("update", false, "write the golden files anew")

// mixed has a zone in a zone in a zone, a host in each, a zone with an exception for its own name, a host above one that is never
// blocked, addresses, and what no list of names tells.
const mixed = `version: 1
default-site: {jurisdictions: [US]}
restrictions: [{id: us-icts-2021-002, mode: enforce}]
vendors:
  - vendor: acme
    endpoints:
      - {zone: acme.example, channels: [codebase]}
      - {host: listed.acme.example, channels: [codebase]}
      - {zone: twin.example, channels: [codebase]}
      - {host: only.example, channels: [codebase]}
      - {host: crl.only.example, channels: [revocation]}
      - {host: 192.0.2.7, channels: [codebase]}
      - {host: "2001:db8::7", channels: [codebase]}
      - {host: many.example, paths: ["/updates/**"], channels: [codebase]}
      - {zone: ports.example, ports: [80], channels: [codebase]}
rules:
  - {id: acme, vendor: acme, reason: r, phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}
  - {id: again, zones: [c.b.a.acme.example], final: true, reason: r, phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}
waivers:
  - {id: W-1, zones: [b.a.acme.example], until: 2025-01-01T00:00:00Z, owner: o@example.org, reason: r}
  - {id: W-2, hosts: [x.y.acme.example], until: 2025-01-01T00:00:00Z, owner: o@example.org, reason: r}
  - {id: W-3, clients: [10.1.1.1], vendor: acme, until: 2025-01-01T00:00:00Z, owner: o@example.org, reason: r}
  - {id: W-4, hosts: [twin.example], until: 2025-01-01T00:00:00Z, owner: o@example.org, reason: r}
`

func compile(t *testing.T, file source.File) *policy.Policy {
	t.Helper()
	c, err := catalog.Load("", false)
	if err != nil {
		t.Fatal(err)
	}
	op, problems := source.Operator(file)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Compile(c, &op, policy.Options{Revision: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func written(t *testing.T, format string, r *export.Result) (text string, cannot []string) {
	t.Helper()
	var b bytes.Buffer
	cannot, err := export.Write(&b, format, r)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), cannot
}

func TestGolden(t *testing.T) {
	t.Parallel()
	p := compile(t, source.File{Name: "policy.yaml", Data: []byte(mixed)})
	for _, when := range []string{"2024-09-29T03:59:59Z", "2024-09-29T04:00:00Z"} {
		r := export.List(p, at(t, when), p.Askers()[0], "clients of the default site\n0.0.0.0 injected.example")
		for _, format := range export.Formats {
			name := filepath.Join("testdata", strings.ReplaceAll(when, ":", "")+"."+format)
			got, _ := written(t, format, &r)
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// What each format means, read by a dull interpreter, is what Decide says of every listed name and of names around it, but for what the
// result says that it cannot express.
func TestEveryFormatMeansWhatDecideSays(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]source.File{"builtin": catalog.Builtin(), "mixed": {Name: "policy.yaml", Data: []byte(mixed)}} {
		p := compile(t, file)
		around := namesAround(p)
		for _, when := range []string{"2020-01-01T00:00:00Z", "2024-09-29T03:59:59Z", "2024-09-29T04:00:00Z", "2026-01-01T00:00:00Z"} {
			now := at(t, when)
			r := export.List(p, now, policy.Asker{}, "all")
			for format, read := range interpreters {
				text, cannot := written(t, format, &r)
				blocks, asked, blocked := read(text), 0, 0
				for _, n := range around {
					f := (&policy.Destination{Host: n, Port: 443}).Facts(&policy.Asker{})
					want := p.Decide(now, &f).Verdict == policy.Block
					asked++
					if want {
						blocked++
					}
					if got := blocks(n.String()); got != want && !mentions(cannot, n) {
						t.Errorf("%s at %s, %s: %s is blocked: %v, want %v", name, when, format, n, got, want)
					}
				}
				if asked < 500 || now.Year() > 2023 && name == "mixed" && blocked < 10 {
					t.Errorf("%s at %s, %s: %d names, %d blocked: too few to tell", name, when, format, asked, blocked)
				}
			}
		}
	}
}

// namesAround are the listed names with others below and beside them.
func namesAround(p *policy.Policy) (names []host.Name) {
	rnd := rand.New(rand.NewPCG(1, 2))
	listed := append(slices.Collect(p.KnownHosts()), slices.Collect(p.KnownZones())...)
	for i := range p.Operator().Waivers {
		listed = append(append(listed, p.Operator().Waivers[i].Target.Hosts...), p.Operator().Waivers[i].Target.Zones...)
	}
	for _, n := range listed {
		if n.IsAddr() {
			continue
		}
		for _, text := range []string{n.String(), "w" + n.String(), "w." + n.String(), "w.v." + n.String(), string(rune('a'+rnd.IntN(26))) + "." + n.String()} {
			if name, err := host.Parse(text); err == nil {
				names = append(names, name)
			}
		}
		if up, ok := n.Parent(); ok {
			names = append(names, up)
		}
	}
	return names
}

func mentions(cannot []string, n host.Name) bool {
	return slices.ContainsFunc(cannot, func(line string) bool {
		about, _, _ := strings.Cut(line, ": ")
		about = strings.TrimSuffix(about, " and below")
		return n.String() == about || strings.HasSuffix(n.String(), "."+about)
	})
}

// interpreters read a format and tell whether it blocks a name.
var interpreters = map[string]func(text string) func(name string) bool{
	"adguard": func(text string) func(string) bool {
		return func(name string) bool {
			best, blocked := -1, false // the kind of rule that counts: block, exception, important block, important exception
			for _, line := range lines(text, "!") {
				rule, exception := strings.CutPrefix(line, "@@")
				rule, important := strings.CutSuffix(rule, "$important")
				rule = strings.TrimSuffix(rule, "^")
				zone, isZone := strings.CutPrefix(rule, "||")
				fits := isZone && (name == zone || strings.HasSuffix(name, "."+zone)) || !isZone && name == strings.TrimPrefix(rule, "|")
				rank := 0
				if important {
					rank += 2
				}
				if exception {
					rank++
				}
				if fits && rank > best {
					best, blocked = rank, !exception
				}
			}
			return blocked
		}
	},
	"dnsmasq": func(text string) func(string) bool {
		return func(name string) bool {
			for n := name; n != ""; _, n, _ = strings.Cut(n, ".") {
				for _, domain := range []string{"*." + n, n} {
					switch {
					case domain != n && n == name: // what lies below alone
					case strings.Contains(text, "\naddress=/"+domain+"/\n"):
						return true
					case strings.Contains(text, "\nserver=/"+domain+"/#\n"):
						return false
					}
				}
			}
			return false
		}
	},
	"rpz": func(text string) func(string) bool {
		exists := map[string]string{}
		nodes := map[string]bool{}
		for _, line := range lines(text, ";")[3:] {
			owner, target, _ := strings.Cut(line, " CNAME ")
			if exists[owner] != "" {
				panic("a second CNAME of " + owner)
			}
			exists[owner] = target
			for n := owner; n != ""; _, n, _ = strings.Cut(n, ".") {
				nodes[n] = true
			}
		}
		return func(name string) bool {
			if nodes[name] {
				return exists[name] == "."
			}
			for _, n, ok := strings.Cut(name, "."); ok; _, n, ok = strings.Cut(n, ".") {
				if nodes[n] { // the closest encloser (RFC 4592)
					return exists["*."+n] == "."
				}
			}
			return false
		}
	},
	"squid": func(text string) func(string) bool {
		return func(name string) bool {
			in := map[string]bool{}
			for _, line := range lines(text, "#") {
				if words := strings.Fields(line); words[0] == "acl" {
					zone, isZone := strings.CutPrefix(words[4], ".")
					if name == zone || isZone && strings.HasSuffix(name, "."+zone) {
						in[words[1]] = true
					}
				} else if in[words[2]] && (len(words) < 4 || !in[strings.TrimPrefix(words[3], "!")]) {
					return true
				}
			}
			return false
		}
	},
	"hosts": func(text string) func(string) bool {
		return func(name string) bool { return strings.Contains(text, "\n0.0.0.0 "+name+"\n") }
	},
}

func lines(text, comment string) (list []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasPrefix(line, comment) {
			list = append(list, line)
		}
	}
	return list
}
