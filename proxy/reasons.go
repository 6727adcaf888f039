package proxy

import (
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// keptReasons bounds the decisions whose reasons are kept. Each costs some KiB; to find them anew costs more than all else of a record.
const keptReasons = 2048

// reasonKey is what the reasons of a decision depend on. A path counts by the class that it leads to.
type reasonKey struct {
	policy              *policy.Policy
	place               policy.Place
	authority, sni, own host.Name
	port                uint16
	transparent         bool
	era                 int
	state               policy.State
	clock               policy.ClockState
	record              policy.RecordState
	hello               policy.Hello
	ech                 bool
}

// reasons are those of decisions, in words.
type reasons struct {
	cache *lru.Cache[reasonKey, []string]
}

func newReasons() *reasons {
	cache, err := lru.New[reasonKey, []string](keptReasons)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &reasons{cache}
}

// of tells all that was weighed for a decision, a line each. Callers share the list: it must not be changed.
func (rs *reasons) of(r *ruling, f *policy.Facts) []string {
	key := reasonKey{
		r.policy, r.Place(), f.Authority, f.SNI, f.Inner, f.Port, f.Transparent, r.policy.Era(r.at), r.State, f.Clock, f.Record, f.Hello, f.ECH,
	}
	if list, ok := rs.cache.Get(key); ok {
		return list
	}
	found := r.policy.Reasons(r.at, f)
	list := make([]string, len(found))
	for i := range found {
		list[i] = found[i].Line()
	}
	list = slices.Compact(list) // an endpoint is a reason a source, and a line does not name sources
	rs.cache.Add(key, list)
	return list
}
