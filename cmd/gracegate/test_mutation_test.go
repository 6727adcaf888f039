package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/source"
)

// unnoticeable are the changes that no decision and no reason shows, at any instant and as known at any horizon, with why.
var unnoticeable = []struct {
	why     string
	changes []string
}{
	{"from its phases on, the text is stayed throughout, by stays that were published before it", []string{
		"us-wechat-2020.Revisions[1].Published -1 s",
		"us-wechat-2020.Revisions[1].Phases[0].From -1 s",
		"us-wechat-2020.Revisions[1].Phases[0].From +1 s",
		"us-wechat-2020.Revisions[1].Phases[0].Effect notice",
		"us-wechat-2020.Revisions[1].Phases[0].Effect grace",
		"us-wechat-2020.Revisions[1].Phases[0].Effect allow",
		"us-tiktok-2020.Revisions[2].Published -1 s",
		"us-tiktok-2020.Revisions[2].Phases[0].From -1 s",
		"us-tiktok-2020.Revisions[2].Phases[0].From +1 s",
		"us-tiktok-2020.Revisions[2].Phases[0].Effect notice",
		"us-tiktok-2020.Revisions[2].Phases[0].Effect grace",
		"us-tiktok-2020.Revisions[2].Phases[0].Effect allow",
		"us-tiktok-2020.Revisions[2].Phases[1].From -1 s",
		"us-tiktok-2020.Revisions[2].Phases[1].From +1 s",
		"us-tiktok-2020.Revisions[2].Phases[1].Effect notice",
		"us-tiktok-2020.Revisions[2].Phases[1].Effect grace",
		"us-tiktok-2020.Revisions[2].Phases[1].Effect allow",
		"us-pafaca.Revisions[1].Phases[1].Effect notice",
		"us-pafaca.Revisions[1].Phases[1].Effect grace",
		"us-pafaca.Revisions[1].Phases[1].Effect allow",
	}},
	{"the later text says of every instant what the one before it says", []string{
		"us-huawei-entity-list.Revisions[1].Published -1 s",
		"us-huawei-entity-list.Revisions[1].Published +1 s",
		"gb-ncsc-2017.Revisions[1].Published -1 s",
		"gb-ncsc-2017.Revisions[1].Published +1 s",
	}},
}

// Any instant of the shipped catalogue that is moved by a second, and any effect that is another one, makes a case fail that
// test --boundaries wrote before, or is refused as a mistake.
func TestBoundariesNoticeEveryChange(t *testing.T) {
	t.Parallel()
	shipped, err := catalog.Load("", false)
	if err != nil {
		t.Fatal(err)
	}
	excused := map[string]bool{}
	for _, row := range unnoticeable {
		for _, change := range row.changes {
			excused[change] = true
		}
	}
	for i := range shipped.Restrictions {
		r := &shipped.Restrictions[i]
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			op := everybodyBound(r)
			cases := boundaryCases(t, shipped, r, op)
			if wrong := firstFailure(t, shipped, r, op, cases); wrong != "" {
				t.Fatalf("as it is: %s", wrong)
			}
			tried := 0
			mutate(reflect.ValueOf(r).Elem(), r.ID, func(name string) {
				tried++
				switch noticed := firstFailure(t, shipped, r, op, cases) != ""; {
				case !noticed && !excused[name]:
					t.Errorf("%s: no case notices", name)
				case noticed && excused[name]:
					t.Errorf("%s: a case notices: take it from the list", name)
				}
			})
			if tried == 0 {
				t.Error("nothing to change in it")
			}
		})
	}
}

// everybodyBound is a policy that enforces a restriction, with a site for each jurisdiction that any of its texts binds and one for
// nobody. Each vendor has a made-up name for each channel, so that all that a text says can be asked about.
func everybodyBound(r *policy.Restriction) *policy.Operator {
	op := &policy.Operator{Settings: policy.DefaultSettings(), Restrictions: []policy.Listing{{ID: r.ID, Mode: policy.Enforce}}}
	op.Settings.Mode = policy.Off
	var tags, vendors []string
	for i := range r.Revisions {
		tags = append(tags, r.Revisions[i].Binds...)
		vendors = append(vendors, r.Revisions[i].Vendors...)
	}
	slices.Sort(tags)
	for i, tag := range slices.Compact(tags) {
		op.Sites = append(op.Sites, policy.Site{
			Name: fmt.Sprint("site-", i), Jurisdictions: []string{tag}, Networks: networksOf(fmt.Sprintf("10.%d.0.0/16", i)),
		})
	}
	slices.Sort(vendors)
	for _, id := range slices.Compact(vendors) {
		v := policy.Vendor{ID: id}
		for c, word := range policy.ChannelWords {
			v.Endpoints = append(v.Endpoints, policy.Endpoint{
				Hosts: []host.Name{host.MustParse(word + "." + id + ".example")}, Channels: policy.Channels(policy.Channel(c)),
				Sources: []policy.Source{{Title: "made up", Grade: policy.GradeOperator}},
			})
		}
		op.Vendors = append(op.Vendors, v)
	}
	return op
}

func compileWith(shipped *policy.Catalog, r *policy.Restriction, op *policy.Operator) (*policy.Policy, error) {
	c, err := policy.NewCatalog(shipped.Vendors, []policy.Restriction{*r}, shipped.Jurisdictions, "")
	if err != nil {
		return nil, err
	}
	return policy.Compile(c, op, policy.Options{})
}

// boundaryCases writes the cases and reads them back. Other vendors' are left out.
func boundaryCases(t *testing.T, shipped *policy.Catalog, r *policy.Restriction, op *policy.Operator) []*scenario {
	t.Helper()
	p, err := compileWith(shipped, r, op)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := boundaries(&text, p); err != nil {
		t.Fatal(err)
	}
	list, problems := source.ReadScenarios(source.File{Name: "boundaries.yaml", Data: text.Bytes()})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	var cases []*scenario
	for i := range list.Cases {
		cases = append(cases, &scenario{Case: list.Cases[i]})
	}
	return cases
}

// firstFailure compiles the restriction as it is now and asks the cases, until one is answered otherwise than it expects.
func firstFailure(t *testing.T, shipped *policy.Catalog, r *policy.Restriction, op *policy.Operator, cases []*scenario) string {
	t.Helper()
	p, err := compileWith(shipped, r, op)
	if err != nil {
		return err.Error()
	}
	ask := tester{policies: map[string]*policy.Policy{}, run: regexp.MustCompile("")}
	for _, s := range cases {
		var problems policy.Problems
		if s.prepare(&ask, p, &problems); len(problems) > 0 {
			return problems.Err().Error()
		}
		ask.cases = []*scenario{s}
		ask.ask()
		if len(s.wrong) > 0 {
			return s.asked() + ": " + strings.Join(s.wrong, "; ")
		}
	}
	return ""
}

// mutate changes every instant and every effect below v, one at a time, calls try, and takes the change back.
func mutate(v reflect.Value, name string, try func(name string)) {
	switch x := v.Addr().Interface().(type) {
	case *policy.Instant:
		old := x.At
		for _, by := range []time.Duration{-time.Second, time.Second} {
			x.At = old.Add(by)
			try(fmt.Sprintf("%s %+d s", name, int(by.Seconds())))
		}
		x.At = old
		return
	case *policy.Effect:
		old := *x
		for e := range policy.EffectWords {
			if *x = policy.Effect(e); *x != old {
				try(fmt.Sprintf("%s %s", name, x))
			}
		}
		*x = old
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				mutate(v.Field(i), name+"."+v.Type().Field(i).Name, try)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			mutate(v.Index(i), fmt.Sprintf("%s[%d]", name, i), try)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			mutate(v.Elem(), name, try)
		}
	default: // holds neither
	}
}

func networksOf(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
