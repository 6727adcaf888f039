package policy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// dull is the law once more, straight from the design's words: no classes, no timelines, no tables, every question answered by
// looking at every text. It is slow and simple, and the real one must agree with it. swap turns two neighbouring steps round.
type dull struct {
	vendors      []Vendor // the catalogue's and the operator's
	restrictions []Restriction
	op           *Operator
	horizon      Horizon
	swap         swap
}

type swap int

const (
	swapNone swap = iota
	swapStayExemption
	swapLicenceStay
	swapPhaseLicence
	swap12
	swap23
	swapWaiverFinal
	swapRuleWaiver
	swap34
	swap45
	swapFinalNeverBlock
	swap56
	swap67
	numSwaps
)

var swapWords = []string{
	"", "a stay comes before an exemption", "a licence comes before a stay", "a phase comes before a licence",
	"steps 1 and 2 are swapped", "steps 2 and 3 are swapped", "a waiver comes before a final rule", "a rule comes before a waiver",
	"steps 3 and 4 are swapped", "steps 4 and 5 are swapped", "never-block comes before a final rule", "steps 5 and 6 are swapped",
	"steps 6 and 7 are swapped",
}

type dullResult struct {
	verdict    Verdict
	state      State
	final      bool
	restricted bool // a restriction's own block
}

func pass(s State) dullResult { return dullResult{verdict: Allow, state: s} }

func strictest(list []dullResult) dullResult {
	return slices.MaxFunc(list, func(a, b dullResult) int {
		if a.verdict != b.verdict {
			return int(b.verdict) - int(a.verdict) // Block is smaller
		}
		return int(a.state) - int(b.state)
	})
}

// decide is the stricter of what the readings of the path lead to.
func (w *dull) decide(at time.Time, f *Facts) dullResult {
	list := []dullResult{w.decideOne(at, f)}
	if f.Path != "" && f.PathAgain != "" {
		again := *f
		again.Path = f.PathAgain
		list = append(list, w.decideOne(at, &again))
	}
	return strictest(list)
}

// decideOne is steps six and seven, and the default.
func (w *dull) decideOne(at time.Time, f *Facts) dullResult {
	list, matched, never := w.names(at, f)
	if !matched && w.op.Settings.Default == Block {
		for i := range list {
			if list[i].verdict == Allow && list[i].state != Waived {
				list[i] = dullResult{verdict: Block, state: Unmatched}
			}
		}
	}
	r := strictest(list)
	if w.swap == swap56 && never {
		r = pass(NeverBlock)
	}
	if w.unseenBlocks(f) && (r.verdict == Allow || w.swap == swap67) {
		r = dullResult{verdict: Block, state: Unseen}
	}
	return r
}

// names judges each name that was observed.
func (w *dull) names(at time.Time, f *Facts) (list []dullResult, matched, never bool) {
	observed := []host.Name{f.Authority}
	if f.Stage >= StageHello && f.Hello == HelloWithName {
		observed = append(observed, f.SNI)
	}
	if f.Stage == StageRequest && !f.Inner.IsZero() {
		observed = append(observed, f.Inner)
	}
	for _, n := range observed {
		endpoints, hit := w.find(n, f)
		matched = matched || hit
		r := w.name(n, endpoints, f, at)
		never = never || r.state == NeverBlock
		list = append(list, r)
	}
	if !matched && f.Stage == StageRequest {
		if prints := w.fingerprints(f.Path); len(prints) > 0 {
			list[0] = w.endpoint(observed[0], prints, f, at)
		}
	}
	return list, matched, never
}

// governed tells whether any text has, at some time, a say about any of the names.
func (w *dull) governed(f *Facts) bool {
	for _, at := range append(w.instants(), time.Unix(0, 0)) {
		list, _, _ := w.names(at, f)
		if slices.ContainsFunc(list, func(r dullResult) bool { return r.state > OutOfScope }) {
			return true
		}
	}
	return false
}

func (w *dull) unseenBlocks(f *Facts) bool {
	s := w.op.Settings.Unseen
	sni := f.Stage >= StageHello && f.Hello == HelloWithName
	inner := f.Stage == StageRequest && !f.Inner.IsZero() && !f.Inner.IsAddr()
	named := f.Transparent && (sni || inner)
	if f.Authority.IsAddr() && s.Address == Block && !w.operatorNames(f.Authority) && !named {
		return true
	}
	if f.Stage == StageAuthority {
		return false
	}
	return f.Hello == HelloUnreadable && s.Unreadable == Block || f.Hello == HelloNotTLS && s.NotTLS == Block ||
		f.Hello == HelloNoName && s.NoSNI == Block || f.ECH && s.ECH == Block ||
		s.Mismatch == Block && f.Hello == HelloWithName && f.SNI != f.Authority && !f.Authority.IsAddr() && !w.governed(f)
}

func (w *dull) operatorNames(n host.Name) bool {
	for _, v := range w.vendors {
		for _, e := range v.Endpoints {
			if slices.Contains(e.Hosts, n) {
				return true
			}
		}
	}
	named := func(t *Target) bool { return w.named(t, n) }
	return slices.ContainsFunc(w.op.Rules, func(r Rule) bool { return named(&r.Target) }) ||
		slices.ContainsFunc(w.op.Waivers, func(x Waiver) bool { return named(&x.Target) })
}

// found is an endpoint with its vendor.
type found struct {
	vendor string
	*Endpoint
}

// name judges what a name leads to. Where only the path could tell, each thing that it could lead to is judged.
func (w *dull) name(n host.Name, outcomes [][]found, f *Facts, at time.Time) dullResult {
	var list []dullResult
	for _, endpoints := range outcomes {
		r := w.endpoint(n, endpoints, f, at)
		if len(outcomes) > 1 && r.state == Unmatched && w.op.Settings.Default == Block {
			r.verdict = Block
		}
		list = append(list, r)
	}
	for _, r := range list {
		if r.verdict != list[0].verdict {
			return dullResult{verdict: w.op.Settings.Unseen.Request, state: Unseen}
		}
	}
	return strictest(list)
}

// endpoint is steps four and five.
func (w *dull) endpoint(n host.Name, endpoints []found, f *Facts, at time.Time) dullResult {
	if len(endpoints) == 0 {
		return w.operator(n, "", 0, f, at, []dullResult{pass(Unmatched)})
	}
	var list []dullResult
	corporate, corporateBlocked, never, final := false, false, false, false
	for _, e := range endpoints {
		for _, c := range e.Channels.List() {
			r := w.channel(n, e, c, f, at)
			if e.LowTrust && r.restricted {
				r = pass(Monitored)
			}
			if w.swap == swap45 && neverBlock.Has(c) && !r.final {
				r = pass(NeverBlock)
			}
			corporate = corporate || c == Corporate
			corporateBlocked = corporateBlocked || c == Corporate && r.restricted
			never = never || neverBlock.Has(c)
			final = final || r.final
			list = append(list, r)
		}
	}
	if corporate && !corporateBlocked {
		for i := range list {
			if list[i].restricted {
				list[i] = pass(Inseparable)
			}
		}
	}
	r := strictest(list)
	if w.op.Settings.AllOf {
		var passing []dullResult
		for _, x := range list {
			if x.verdict == Allow {
				passing = append(passing, x)
			}
		}
		if len(passing) > 0 {
			r = strictest(passing)
		}
	}
	if w.swap == swap34 {
		r = w.operator(n, endpoints[0].vendor, endpoints[0].Channels, f, at, []dullResult{r})
	}
	if never && (!final || w.swap == swapFinalNeverBlock) && w.swap != swap45 && w.swap != swap56 {
		return pass(NeverBlock)
	}
	if w.swap == swap56 && never && !final {
		r.state = NeverBlock
	}
	return r
}

// channel is steps one to three.
func (w *dull) channel(n host.Name, e found, c Channel, f *Facts, at time.Time) dullResult {
	list := []dullResult{pass(OutOfScope)}
	if w.swap == swap23 {
		list = nil
	}
	lifted := false
	for i := range w.restrictions {
		r := &w.restrictions[i]
		rev := w.revision(r, at)
		if rev == nil || !slices.Contains(rev.Vendors, e.vendor) || !w.bound(rev, f) || w.mode(r) == Off {
			continue
		}
		x := w.restriction(r, rev, e.vendor, c, at)
		lifted = lifted || x.state == Exempt || x.state == Stayed || x.state == Licensed
		if w.swap == swap23 {
			x = w.operator(n, e.vendor, Channels(c), f, at, []dullResult{x})
		}
		list = append(list, x)
	}
	if w.swap == swap12 && lifted {
		list = slices.DeleteFunc(list, func(r dullResult) bool { return r.restricted })
	}
	if len(list) == 0 {
		return pass(OutOfScope)
	}
	if w.swap == swap23 || w.swap == swap34 {
		return strictest(list)
	}
	return w.operator(n, e.vendor, Channels(c), f, at, list)
}

// operator is step three.
func (w *dull) operator(n host.Name, vendor string, channels ChannelSet, f *Facts, at time.Time, list []dullResult) dullResult {
	about := func(t *Target) bool {
		if t.Vendor == "" {
			return w.named(t, n)
		}
		return t.Vendor == vendor && (t.Channels == 0 || t.Channels&channels != 0)
	}
	var final, rule, waiver bool
	for i := range w.op.Rules {
		r := &w.op.Rules[i]
		if !about(&r.Target) || !w.ruleHolds(r, f) {
			continue
		}
		if p := lastPhase(r.Phases, AllChannels, at); p != nil && p.Effect == EffectBlock {
			rule = true
			final = final || r.Final
		}
	}
	for i := range w.op.Waivers {
		x := &w.op.Waivers[i]
		if about(&x.Target) && w.waiverHolds(x, f) && (x.From == nil || !at.Before(x.From.At)) && at.Before(x.Until.At) {
			waiver = true
		}
	}
	switch {
	case w.swap == swapRuleWaiver && rule && !final:
		return dullResult{verdict: Block, state: RuleBlocked}
	case w.swap == swapWaiverFinal && waiver:
		return pass(Waived)
	case final:
		return dullResult{verdict: Block, state: RuleBlocked, final: true}
	case waiver:
		return pass(Waived)
	case rule:
		return dullResult{verdict: Block, state: RuleBlocked}
	}
	return strictest(list)
}

// restriction is step one, and what the mode makes of it.
func (w *dull) restriction(r *Restriction, rev *Revision, vendor string, c Channel, at time.Time) dullResult {
	s := w.ruling(r, rev, vendor, c, at, at)
	blocks := func(s State) bool { return s == Blocked || s == AfterFloor && w.op.Settings.AfterFloor == Block }
	if blocks(s) {
		mode, listed := w.op.Settings.Mode, false
		for _, l := range w.op.Restrictions {
			if l.ID == r.ID {
				mode, listed = l.Mode, true
			}
		}
		switch {
		case mode == Enforce && (listed || r.Verified && r.Strength != AdviceOnly):
			return dullResult{verdict: Block, state: s, restricted: true}
		case r.Strength == AdviceOnly:
			return pass(Advice)
		default:
			return pass(Monitored)
		}
	}
	if s != Grace {
		return pass(s)
	}
	// Warn: some instant within the time before it blocks. Looking at every instant of every text is enough.
	for _, b := range w.instants() {
		if b.After(at) && b.Sub(at) <= w.op.Settings.WarnBefore && blocks(w.ruling(r, rev, vendor, c, b, at)) {
			return pass(Warn)
		}
	}
	return pass(Grace)
}

// ruling is what r says at an instant, as known at another.
func (w *dull) ruling(r *Restriction, rev *Revision, vendor string, c Channel, at, known time.Time) State {
	exempt := rev.Exempt.Has(c)
	stayed, licensed := false, false
	for i := range r.Stays {
		s := &r.Stays[i]
		if s.Lifts != "" || !w.published(s.Published, known) || !s.Channels.Has(c) {
			continue
		}
		ended := s.Until != nil && !at.Before(s.Until.At)
		for j := range r.Stays {
			l := &r.Stays[j]
			ended = ended || l.Lifts == s.ID && w.published(l.Published, known) && !at.Before(l.From.At)
		}
		stayed = stayed || !at.Before(s.From.At) && !ended
	}
	for i := range r.Licences {
		l := &r.Licences[i]
		licensed = licensed || w.published(l.Published, known) && l.Channels.Has(c) && (len(l.Vendors) == 0 || slices.Contains(l.Vendors, vendor)) &&
			!at.Before(l.From.At) && at.Before(l.Until.At)
	}
	p := lastPhase(rev.Phases, Channels(c), at)
	blocked := p != nil && p.Effect == EffectBlock
	switch {
	case w.swap == swapStayExemption && stayed:
		return Stayed
	case w.swap == swapLicenceStay && licensed && !exempt:
		return Licensed
	case w.swap == swapPhaseLicence && blocked && !exempt && !stayed:
		return Blocked
	case exempt:
		return Exempt
	case stayed:
		return Stayed
	case licensed:
		return Licensed
	case blocked:
		return Blocked
	}
	var floor time.Time
	for i := range rev.Floors {
		if rev.Floors[i].Channels.Has(c) && rev.Floors[i].AtLeastUntil.At.After(floor) {
			floor = rev.Floors[i].AtLeastUntil.At
		}
	}
	switch {
	case !floor.IsZero() && !at.Before(floor) && (p == nil || p.From.At.Before(floor)):
		return AfterFloor
	case p != nil && p.Effect == EffectGrace:
		return Grace
	case p != nil && p.Effect == EffectNotice:
		return Notice
	}
	return Open
}

func lastPhase(phases []Phase, channels ChannelSet, at time.Time) *Phase {
	var last *Phase
	for i := range phases {
		if p := &phases[i]; p.Channels&channels != 0 && !at.Before(p.From.At) && (last == nil || p.From.At.After(last.From.At)) {
			last = p
		}
	}
	return last
}

func (w *dull) published(i Instant, known time.Time) bool {
	switch {
	case w.horizon.Clock:
		return !i.At.After(known)
	case !w.horizon.At.IsZero():
		return !i.At.After(w.horizon.At)
	}
	return true
}

func (w *dull) revision(r *Restriction, known time.Time) *Revision {
	var last *Revision
	for i := range r.Revisions {
		if w.published(r.Revisions[i].Published, known) {
			last = &r.Revisions[i]
		}
	}
	return last
}

func (w *dull) mode(r *Restriction) Mode {
	for _, l := range w.op.Restrictions {
		if l.ID == r.ID {
			return l.Mode
		}
	}
	return w.op.Settings.Mode
}

// site is the index of the client's site, or -1.
func (w *dull) site(f *Facts) int {
	best, bits := -1, -1
	for i := range w.op.Sites {
		for _, n := range w.op.Sites[i].Networks {
			if n.Contains(f.Client) && n.Bits() > bits {
				best, bits = i, n.Bits()
			}
		}
	}
	return best
}

func (w *dull) bound(rev *Revision, f *Facts) bool {
	tags := slices.Clone(w.op.DefaultSite.Jurisdictions)
	if i := w.site(f); i >= 0 {
		tags = slices.Clone(w.op.Sites[i].Jurisdictions)
		for _, s := range w.op.Sites {
			if slices.Contains(w.op.Sites[i].Serves, s.Name) {
				tags = append(tags, s.Jurisdictions...)
			}
		}
	}
	for i := range w.op.Persons {
		if picked(&w.op.Persons[i].Clients, f) {
			tags = append(tags, w.op.Persons[i].Jurisdictions...)
		}
	}
	return slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(rev.Binds, t) })
}

func picked(c *Clients, f *Facts) bool {
	return slices.ContainsFunc(c.Networks, func(n netip.Prefix) bool { return n.Contains(f.Client) }) ||
		f.User != "" && slices.Contains(c.Users, f.User) || f.MAC != "" && slices.Contains(c.MACs, f.MAC)
}

func (w *dull) ruleHolds(r *Rule, f *Facts) bool {
	if len(r.Sites) == 0 {
		return true
	}
	i := w.site(f)
	return i >= 0 && slices.ContainsFunc(r.Sites, func(s string) bool {
		return s == w.op.Sites[i].Name || slices.Contains(w.op.Sites[i].Serves, s)
	})
}

func (w *dull) waiverHolds(x *Waiver, f *Facts) bool {
	i := w.site(f)
	return (x.Clients.Empty() || picked(&x.Clients, f)) &&
		(len(x.Sites) == 0 || i >= 0 && slices.Contains(x.Sites, w.op.Sites[i].Name))
}

func (w *dull) named(t *Target, n host.Name) bool {
	return slices.Contains(t.Hosts, n) || slices.ContainsFunc(t.Zones, n.Within)
}

// instants lists every instant of every text.
func (w *dull) instants() []time.Time {
	var list []time.Time
	for _, r := range w.restrictions {
		for _, rev := range r.Revisions {
			list = append(list, rev.Published.At)
			for _, p := range rev.Phases {
				list = append(list, p.From.At)
			}
			for _, fl := range rev.Floors {
				list = append(list, fl.AtLeastUntil.At)
			}
		}
		for _, s := range r.Stays {
			list = append(list, s.Published.At, s.From.At)
			if s.Until != nil {
				list = append(list, s.Until.At)
			}
		}
		for _, l := range r.Licences {
			list = append(list, l.Published.At, l.From.At, l.Until.At)
		}
	}
	for _, r := range w.op.Rules {
		for _, p := range r.Phases {
			list = append(list, p.From.At)
		}
	}
	for _, x := range w.op.Waivers {
		list = append(list, x.Until.At)
		if x.From != nil {
			list = append(list, x.From.At)
		}
	}
	return list
}
