package policy

import (
	"fmt"
	"slices"
	"time"
)

// Difference is a stretch of time, [From, Until), over which two policies say different things of one flow. A zero From stands for
// always, a zero Until for ever.
type Difference struct {
	From, Until time.Time
	Old, New    Decision // as at From
}

// Compare returns, in order, the stretches of time over which two policies differ about a flow: in verdict, state or need, or in what
// they name as the cause.
func Compare(old, new *Policy, f *Facts) []Difference {
	before, after := old.History(f), new.History(f)
	var list []Difference
	for i, j := 0, 0; i < len(before) && j < len(after); {
		d := Difference{From: later(before[i].From, after[j].From), Old: before[i].Decision, New: after[j].Decision}
		endsOld, endsNew := before[i].Until, after[j].Until
		d.Until = endsOld
		if endsOld.IsZero() || !endsNew.IsZero() && endsNew.Before(endsOld) {
			d.Until = endsNew
		}
		if !d.Until.IsZero() && d.Until.Equal(endsOld) {
			i++
		}
		switch {
		case d.Until.IsZero():
			i, j = len(before), len(after)
		case d.Until.Equal(endsNew):
			j++
		}
		if !alike(&d.Old, &d.New) {
			list = extend(list, d)
		}
	}
	return list
}

// extend adds a difference, to the last one where that goes on.
func extend(list []Difference, d Difference) []Difference {
	if n := len(list); n > 0 && list[n-1].Until.Equal(d.From) && alike(&list[n-1].Old, &d.Old) && alike(&list[n-1].New, &d.New) {
		list[n-1].Until = d.Until
		return list
	}
	return append(list, d)
}

// alike tells whether the decisions of two policies are the same to whoever meets them.
func alike(a, b *Decision) bool {
	if a.Verdict != b.Verdict || a.State != b.State || a.Need != b.Need {
		return false
	}
	x, y := a.Cause(), b.Cause()
	return x.Kind == y.Kind && x.ID == y.ID
}

func later(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.After(a) {
		return b
	}
	return a
}

// Change is a difference between two policies, with all the flows for which it is the same: each of the destinations, asked for by
// each of the askers.
type Change struct {
	Difference
	Askers       []Asker
	Destinations []Destination
}

// Diff returns what two policies decide differently, over all ways in which clients and destinations can be told apart by
// either, and over all time. Changes are ordered by their time, and then by their first destination. What is not seen of a flow
// (no SNI, an unreadable hello...) is not asked about: those are settings, see [Operator].
func Diff(old, new *Policy) []Change {
	askers := Askers(old, new)
	both := newPair(old, new, askers)
	var groups interner
	var changes []Change
	for _, d := range Destinations(old, new) {
		// Askers for whom the same differs at this destination go together, and then destinations for which the same askers do.
		var local interner
		var found []Change
		var whom [][]int // by found
		for _, alike := range both.groups(&d) {
			f := d.Facts(&askers[alike[0]])
			for _, diff := range Compare(old, new, &f) {
				id, isNew := local.id(diff.key())
				if isNew {
					found, whom = append(found, Change{Difference: diff}), append(whom, nil)
				}
				whom[id] = append(whom[id], alike...)
			}
		}
		for i := range found {
			slices.Sort(whom[i])
			id, isNew := groups.id(found[i].key() + fmt.Sprint(whom[i]))
			if isNew {
				for _, a := range whom[i] {
					found[i].Askers = append(found[i].Askers, askers[a])
				}
				changes = append(changes, found[i])
			}
			changes[id].Destinations = append(changes[id].Destinations, d)
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return a.From.Compare(b.From) })
	return changes
}

// key is equal for differences that read the same.
func (d *Difference) key() string {
	a, b := d.Old.Cause(), d.New.Cause()
	return fmt.Sprintf("%d %d %s %s %s %q %q %s %s %s %q %q", d.From.UnixNano(), d.Until.UnixNano(),
		d.Old.Verdict, d.Old.State, d.Old.Need, a.Kind, a.ID, d.New.Verdict, d.New.State, d.New.Need, b.Kind, b.ID)
}
