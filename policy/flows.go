package policy

import "iter"

// Flows yields one flow for each way in which either of two policies can decide about a flow that hides nothing: at a destination, all
// askers whom both treat alike at every instant have one between them.
func Flows(a, b *Policy) iter.Seq[*Facts] {
	return func(yield func(*Facts) bool) {
		askers := Askers(a, b)
		both := newPair(a, b, askers)
		for _, d := range Destinations(a, b) {
			for _, alike := range both.groups(&d) {
				if f := d.Facts(&askers[alike[0]]); !yield(&f) {
					return
				}
			}
		}
	}
}

// pair is two policies, and the scope of each of some askers in either.
type pair struct {
	policies [2]*Policy
	scopes   [2][]uint32
}

func newPair(a, b *Policy, askers []Asker) *pair {
	both := &pair{policies: [2]*Policy{a, b}}
	for i, p := range both.policies {
		for _, a := range askers {
			both.scopes[i] = append(both.scopes[i], p.scopes.index(&Facts{Client: a.Client, User: a.User, MAC: a.MAC}))
		}
	}
	return both
}

// groups joins the askers, by their index, whom both policies treat alike at a destination. They are in order.
func (both *pair) groups(d *Destination) (groups [][]int) {
	var names [2]name // a flow to a destination has one, whoever asks
	f := d.Facts(&Asker{})
	for i, p := range both.policies {
		var l looked
		p.look(&f, f.Path, &l)
		names[i] = l.names[0]
	}
	known := map[[2]*timeline]int{}
	for asker := range both.scopes[0] {
		var key [2]*timeline // equal ones are the same
		for i, p := range both.policies {
			key[i] = p.timeline(both.scopes[i][asker], names[i].set, names[i].class)
		}
		g, ok := known[key]
		if !ok {
			g = len(groups)
			known[key] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], asker)
	}
	return groups
}
