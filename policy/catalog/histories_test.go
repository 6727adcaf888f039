package catalog_test

import (
	"fmt"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
	"github.com/gracegate/gracegate/policy/source"
)

const histories = "../../testdata/histories"

// history is a directory of testdata/histories: a policy, and what is expected of it. It is about the restrictions that its
// policy lists: those in the binary, or, in a directory with restrictions, its own. Vendors of its own are made up, or stand in
// for ones of which the binary has no endpoint.
type history struct {
	dir     string
	alone   bool
	catalog *policy.Catalog
	op      policy.Operator
	cases   []source.Case // a host is one of TLS, seen as far as its hello; of a url all is seen, as if what speaks TLS had been intercepted
}

// TestHistories decides what every history asks.
func TestHistories(t *testing.T) {
	t.Parallel()
	for _, dir := range historyDirs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			h := loadHistory(t, dir)
			for wrong := range h.failures(t, h.catalog.Restrictions) {
				t.Error(wrong)
			}
		})
	}
}

// TestEveryRestrictionHasItsHistory looks for a restriction in the binary that no history is about.
func TestEveryRestrictionHasItsHistory(t *testing.T) {
	t.Parallel()
	told := map[string]bool{}
	for _, dir := range historyDirs(t) {
		if h := loadHistory(t, dir); !h.alone {
			for _, l := range h.op.Restrictions {
				told[l.ID] = true
			}
		}
	}
	for _, r := range load(t, "", false).Restrictions {
		if !told[r.ID] {
			t.Errorf("%s is in no history", r.ID)
		}
	}
}

func historyDirs(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(histories, "*", "cases.yaml"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no histories in %s: %v", histories, err)
	}
	for i, name := range dirs {
		dirs[i] = filepath.Dir(name)
	}
	return dirs
}

func loadHistory(t *testing.T, dir string) *history {
	t.Helper()
	h := &history{dir: dir, alone: exists(filepath.Join(dir, "restrictions"))}
	own := ""
	if h.alone || exists(filepath.Join(dir, "vendors")) {
		own = catalogOf(t, dir)
	}
	h.catalog = load(t, own, h.alone)
	op, problems := source.Operator(readFile(t, filepath.Join(dir, "policy.yaml")))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	h.op = op

	list, problems := source.ReadScenarios(readFile(t, filepath.Join(dir, "cases.yaml")))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	h.cases = list.Cases
	return h
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// catalogOf makes a catalogue's directory of a history: without its policy and its cases, which are no part of one.
func catalogOf(t *testing.T, dir string) string {
	t.Helper()
	root := t.TempDir()
	for _, part := range []string{"vendors", "restrictions"} {
		if from := filepath.Join(dir, part); exists(from) {
			if err := os.CopyFS(filepath.Join(root, part), os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if name := filepath.Join(dir, "jurisdictions.yaml"); exists(name) {
		write(t, filepath.Join(root, "jurisdictions.yaml"), string(readFile(t, name).Data))
	}
	return root
}

// about tells whether the history's policy lists a restriction.
func (h *history) about(id string) bool {
	return slices.ContainsFunc(h.op.Restrictions, func(l policy.Listing) bool { return l.ID == id })
}

func readFile(t *testing.T, name string) source.File {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return source.File{Name: name, Data: data}
}

// failures compiles the history with those of restrictions that it is about, and tells each case that comes out otherwise than
// it expects. What cannot even be compiled fails too.
func (h *history) failures(t *testing.T, restrictions []policy.Restriction) iter.Seq[string] {
	t.Helper()
	return func(yield func(string) bool) {
		var own []policy.Restriction
		for i := range restrictions {
			if h.about(restrictions[i].ID) {
				own = append(own, restrictions[i])
			}
		}
		c, err := policy.NewCatalog(h.catalog.Vendors, own, h.catalog.Jurisdictions, "")
		if err != nil {
			yield(err.Error())
			return
		}
		p, err := policy.Compile(c, &h.op, policy.Options{})
		if err != nil {
			yield(err.Error())
			return
		}
		known := map[time.Time]*policy.Policy{}
		for i := range h.cases {
			q, asked := &h.cases[i], p
			if q.AsKnownAt != nil {
				if asked = known[q.AsKnownAt.At]; asked == nil {
					if asked, err = p.WithHorizon(policy.Horizon{At: q.AsKnownAt.At}); err != nil {
						t.Fatal(err)
					}
					known[q.AsKnownAt.At] = asked
				}
			}
			for _, wrong := range failures(t, q, asked) {
				if !yield(wrong) {
					return
				}
			}
		}
	}
}

func failures(t *testing.T, q *source.Case, p *policy.Policy) (wrong []string) {
	t.Helper()
	f := factsOf(t, q)
	e := p.Explain(q.At.At, &f)
	for _, x := range q.Expect {
		got, want := answers(t, &e, x.Key), strings.Join(x.Values, " ")
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %q, want %q", q.Name, x.Key, got, want))
		}
		if x.Key == "restriction" && want != "" && !slices.ContainsFunc(e.Reasons, func(r policy.Reason) bool {
			return r.Decisive && r.Restriction == want && r.Pos.Line > 0 && r.Source != nil
		}) {
			wrong = append(wrong, fmt.Sprintf("%s: no decisive reason has %s with its place and its source", q.Name, want))
		}
	}
	return wrong
}

// answers gives what a case can compare, in the words of its file; nothing stands for none.
func answers(t *testing.T, e *policy.Explanation, what string) string {
	t.Helper()
	instantOr := func(at time.Time, ok bool) string {
		if !ok {
			return ""
		}
		return instant.Format(at)
	}
	switch what {
	case "verdict":
		return e.Verdict.String()
	case "state":
		return e.State.String()
	case "would":
		return e.Would.String()
	case "need":
		return e.Need.String()
	case "restriction":
		if c := e.Cause(); c.Kind == "restriction" {
			return c.ID
		}
		return ""
	case "channels":
		words := make([]string, len(e.Channels))
		for i, c := range e.Channels {
			words[i] = c.String()
		}
		return strings.Join(words, " ")
	case "from":
		for _, r := range e.Reasons {
			if r.Decisive && r.Restriction != "" && r.From != nil {
				return instant.Format(r.From.At)
			}
		}
		return ""
	case "next-change":
		return instantOr(e.NextChange())
	case "next-block":
		return instantOr(e.NextBlock())
	}
	t.Fatalf("a case cannot expect %q", what)
	return ""
}

func factsOf(t *testing.T, q *source.Case) policy.Facts {
	t.Helper()
	f := policy.Facts{User: q.User, Scheme: "https", Stage: policy.StageHello, Port: 443, Hello: policy.HelloWithName}
	authority := q.Host
	if q.URL != "" {
		scheme, rest, _ := strings.Cut(q.URL, "://")
		name, path, _ := strings.Cut(rest, "/")
		authority, f.Scheme, f.Stage = name, scheme, policy.StageRequest
		f.Path, f.PathAgain, _ = policy.ReadPath("/" + path)
	}
	if f.Scheme == "http" {
		f.Port, f.Hello = 80, policy.HelloUnseen
	}
	var port uint16
	var err error
	if f.Authority, port, err = host.ParseAuthority(authority); err != nil {
		t.Fatalf("%s: %v", q.Name, err)
	}
	if port != 0 {
		f.Port = port
	}
	if f.Stage == policy.StageRequest {
		f.Inner = f.Authority
	}
	switch {
	case f.Hello != policy.HelloWithName:
	case q.SNI != "":
		f.SNI = host.MustParse(q.SNI)
	default:
		f.SNI = f.Authority
	}
	if q.Client != "" {
		f.Client = netip.MustParseAddr(q.Client)
	}
	return f
}

func parse(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := instant.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
