package catalog_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// unseen lists the changes that no case can tell from the truth, each with the reason. A change that is not in it must make
// some case fail; one that is must make none fail, or it has no business here.
var unseen = []struct {
	why     string
	changes []string
}{
	{
		"each extension takes effect while the licence before it still runs",
		[]string{
			"us-huawei-entity-list licence tgl-extension-1, from -1 s",
			"us-huawei-entity-list licence tgl-extension-1, from +1 s",
			"us-huawei-entity-list licence tgl-extension-2, from -1 s",
			"us-huawei-entity-list licence tgl-extension-2, from +1 s",
			"us-huawei-entity-list licence tgl-extension-3, from -1 s",
			"us-huawei-entity-list licence tgl-extension-3, from +1 s",
			"us-huawei-entity-list licence tgl-extension-4, from -1 s",
			"us-huawei-entity-list licence tgl-extension-4, from +1 s",
			"us-huawei-entity-list licence tgl-extension-5, from -1 s",
			"us-huawei-entity-list licence tgl-extension-5, from +1 s",
		},
	},
	{
		"the second text says what the first does, to the same",
		[]string{
			"us-huawei-entity-list revision 2020-08-17, published -1 s",
			"us-huawei-entity-list revision 2020-08-17, published +1 s",
			"gb-ncsc-2017 revision 2022-03-29, published -1 s",
			"gb-ncsc-2017 revision 2022-03-29, published +1 s",
		},
	},
	{
		"the first stay reaches back as far as the later ones, and covers what one that begins later leaves",
		[]string{
			"us-pafaca stay eo-14258, from +1 s",
			"us-pafaca stay eo-14310, from +1 s",
			"us-pafaca stay eo-14350, from +1 s",
			"us-pafaca stay eo-14352, from +1 s",
		},
	},
	{
		"from its block to its allowing phase the second text is stayed throughout",
		[]string{
			"us-pafaca revision 2026-01-22, phase 2, from +1 s",
			"us-pafaca revision 2026-01-22, phase 2, notice",
			"us-pafaca revision 2026-01-22, phase 2, grace",
			"us-pafaca revision 2026-01-22, phase 2, allow",
			"us-pafaca revision 2026-01-22, phase 3, from -1 s",
			"us-pafaca revision 2026-01-22, phase 3, from +1 s",
		},
	},
	{
		"the blocks of the last text are stayed throughout, until the instant at which it allows",
		[]string{
			"us-tiktok-2020 revision 2021-06-23, phase 1, from -1 s",
			"us-tiktok-2020 revision 2021-06-23, phase 1, from +1 s",
			"us-tiktok-2020 revision 2021-06-23, phase 1, notice",
			"us-tiktok-2020 revision 2021-06-23, phase 1, grace",
			"us-tiktok-2020 revision 2021-06-23, phase 1, allow",
			"us-tiktok-2020 revision 2021-06-23, phase 2, from -1 s",
			"us-tiktok-2020 revision 2021-06-23, phase 2, from +1 s",
			"us-tiktok-2020 revision 2021-06-23, phase 2, notice",
			"us-tiktok-2020 revision 2021-06-23, phase 2, grace",
			"us-tiktok-2020 revision 2021-06-23, phase 2, allow",
			"us-tiktok-2020 revision 2021-06-23, phase 3, from -1 s",
			"us-wechat-2020 revision 2021-06-23, phase 1, from -1 s",
			"us-wechat-2020 revision 2021-06-23, phase 1, from +1 s",
			"us-wechat-2020 revision 2021-06-23, phase 1, notice",
			"us-wechat-2020 revision 2021-06-23, phase 1, grace",
			"us-wechat-2020 revision 2021-06-23, phase 1, allow",
			"us-wechat-2020 revision 2021-06-23, phase 2, from -1 s",
		},
	},
	{
		"what lifts the stays is published with the last text; until then they hold, whatever the text says",
		[]string{
			"us-tiktok-2020 revision 2021-06-23, published -1 s",
			"us-wechat-2020 revision 2021-06-23, published -1 s",
		},
	},
}

// TestHistoriesAreExact moves every instant of every restriction in the binary and of the histories by a second either way, and
// gives every phase every other effect: one thing at a time, and each must be noticed by a history that is about the restriction.
func TestHistoriesAreExact(t *testing.T) {
	t.Parallel()
	excuses := map[string]bool{}
	for _, row := range unseen {
		for _, name := range row.changes {
			excuses[name] = true
		}
	}
	binary := load(t, "", false).Restrictions
	var shared []*history
	for _, dir := range historyDirs(t) {
		h := loadHistory(t, dir)
		if !h.alone {
			shared = append(shared, h)
			continue
		}
		unnoticed(t, h.catalog.Restrictions, []*history{h}, excuses)
	}
	unnoticed(t, binary, shared, excuses)
	for name := range excuses {
		t.Errorf("%s: listed, and there is no such change", name)
	}
}

// unnoticed tells of the changes that no history notices, and takes those with an excuse from the list.
func unnoticed(t *testing.T, restrictions []policy.Restriction, histories []*history, excuses map[string]bool) {
	t.Helper()
	for i := range restrictions {
		for _, m := range mutations(&restrictions[i]) {
			undo := m.apply()
			noticed := slices.ContainsFunc(histories, func(h *history) bool {
				return h.about(restrictions[i].ID) && h.fails(t, restrictions)
			})
			undo()
			switch {
			case !noticed && !excuses[m.name]:
				t.Errorf("%s: no case notices", m.name)
			case noticed && excuses[m.name]:
				t.Errorf("%s: a case notices; take it from the list", m.name)
			}
			delete(excuses, m.name)
		}
	}
}

func (h *history) fails(t *testing.T, restrictions []policy.Restriction) bool {
	t.Helper()
	for range h.failures(t, restrictions) {
		return true
	}
	return false
}

// mutation is one change of a restriction, made in place.
type mutation struct {
	name  string
	at    *time.Time // the instant that it moves, if it moves one
	apply func() (undo func())
}

func mutations(r *policy.Restriction) (all []mutation) {
	shift := func(name string, at *time.Time) {
		for _, by := range []time.Duration{-time.Second, time.Second} {
			all = append(all, mutation{fmt.Sprintf("%s %s %+d s", r.ID, name, int(by.Seconds())), at, func() func() {
				old := *at
				*at = at.Add(by)
				return func() { *at = old }
			}})
		}
	}
	for i := range r.Revisions {
		rev := &r.Revisions[i]
		name := "revision " + rev.Published.At.In(rev.Published.Zone).Format(time.DateOnly)
		for j := range rev.Phases {
			ph := &rev.Phases[j]
			name := fmt.Sprintf("%s, phase %d,", name, j+1)
			shift(name+" from", &ph.From.At)
			for e := range policy.EffectWords {
				if other := policy.Effect(e); other != ph.Effect {
					all = append(all, mutation{fmt.Sprintf("%s %s %s", r.ID, name, other), nil, func() func() {
						old := ph.Effect
						ph.Effect = other
						return func() { ph.Effect = old }
					}})
				}
			}
		}
		for j := range rev.Floors {
			shift(fmt.Sprintf("%s, floor %d,", name, j+1), &rev.Floors[j].AtLeastUntil.At)
		}
		shift(name+", published", &rev.Published.At)
	}
	for i := range r.Stays {
		s := &r.Stays[i]
		name := "stay " + s.ID
		if s.Lifts != "" {
			name = "lift of " + s.Lifts
		}
		shift(name+", published", &s.Published.At)
		shift(name+", from", &s.From.At)
		if s.Until != nil {
			shift(name+", until", &s.Until.At)
		}
	}
	for i := range r.Licences {
		l := &r.Licences[i]
		shift("licence "+l.ID+", published", &l.Published.At)
		shift("licence "+l.ID+", from", &l.From.At)
		shift("licence "+l.ID+", until", &l.Until.At)
	}
	return all
}
