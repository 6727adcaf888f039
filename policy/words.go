package policy

import (
	"math/bits"
	"slices"
)

// Verdict is what happens to a flow. The zero value blocks, so that nothing passes by omission.
type Verdict uint8

const (
	Block Verdict = iota
	Allow
)

func (v Verdict) String() string { return word(verdictWords, v) }

var verdictWords = []string{"block", "allow"}

// ParseVerdict reads the word of a verdict back. It is false for any other.
func ParseVerdict(s string) (Verdict, bool) { return parseWord[Verdict](verdictWords, s) }

// State says why a verdict is what it is. The constants stand in order of strictness, the mildest first, so that the
// strictest of several states is the largest.
type State uint8

const (
	Unmatched   State = iota // no endpoint carries this name
	NeverBlock               // a channel that no ordinary block may touch
	OutOfScope               // an endpoint, but no restriction binds this client to it
	Open                     // a restriction binds, and says nothing against the channel at this instant
	Exempt                   // the restriction itself exempts the channel
	Waived                   // the operator's waiver
	Stayed                   // enforcement is suspended
	Licensed                 // a positive permission inside the prohibition
	Advice                   // would block, were it more than advice
	Notice                   // announced
	Grace                    // allowed until a date
	Warn                     // grace that ends soon
	Inseparable              // blocked in law, but the endpoint also carries corporate pages
	Monitored                // would block, were it enforced
	AfterFloor               // "at least until" has passed: unknown, not prohibited
	Unseen                   // a setting of `unseen` decided
	RuleBlocked              // the operator's rule
	Blocked                  // a restriction's phase
	Guarded                  // a guard of the road, no policy
	ClockFault               // the clock cannot be trusted
	RecordFault              // what was decided cannot be recorded
)

func (s State) String() string { return word(stateWords, s) }

var stateWords = []string{
	"unmatched", "never-block", "out-of-scope", "open", "exempt", "waived", "stayed", "licensed", "advice", "notice", "grace",
	"warn", "inseparable", "monitored", "after-floor", "unseen", "rule-blocked", "blocked", "guarded", "clock", "record",
}

// ParseState reads the word of a state back. It is false for any other.
func ParseState(s string) (State, bool) { return parseWord[State](stateWords, s) }

// Stage is how much of a flow is visible.
type Stage uint8

const (
	StageAuthority Stage = iota // the target of a CONNECT, or an original destination
	StageHello                  // and the TLS ClientHello, or the finding that there is none
	StageRequest                // and the request itself
)

func (s Stage) String() string { return word([]string{"authority", "hello", "request"}, s) }

// Need is the stage that must be seen because the verdict could differ there at this instant.
type Need uint8

const (
	NeedNothing Need = iota
	NeedHello
	NeedRequest
)

func (n Need) String() string { return word([]string{"", "hello", "request"}, n) }

// Effect is what a phase does to the channels that it names.
type Effect uint8

const (
	EffectNotice Effect = iota
	EffectGrace
	EffectBlock
	EffectAllow
)

func (e Effect) String() string { return word(EffectWords, e) }

// EffectWords are the words for Effect in a file, by value.
var EffectWords = []string{"notice", "grace", "block", "allow"}

// Strength is how much a restriction claims.
type Strength uint8

const (
	Prohibition Strength = iota
	Directive
	AdviceOnly // never blocks unless the operator lists the restriction with mode enforce
)

func (s Strength) String() string { return word(StrengthWords, s) }

// StrengthWords are the words for Strength in a file, by value.
var StrengthWords = []string{"prohibition", "directive", "advice"}

// Mode is what the operator does with a restriction.
type Mode uint8

const (
	Enforce Mode = iota
	Monitor      // allow, and say what enforcing would do
	Off          // as if it were not loaded
)

func (m Mode) String() string { return word(ModeWords, m) }

// ModeWords are the words for Mode in a file, by value.
var ModeWords = []string{"enforce", "monitor", "off"}

// Grade is how well a fact is founded.
type Grade uint8

const (
	GradePrimary   Grade = iota // the primary text was read
	GradeSecondary              // a law firm, the press
	GradeObserved               // seen in public code or configuration
	GradeInferred               // follows from others
	GradeOperator               // the operator's own word
)

func (g Grade) String() string { return word(GradeWords, g) }

// GradeWords are the words for Grade in a file, by value.
var GradeWords = []string{"primary", "secondary", "observed", "inferred", "operator"}

// Channel is what an endpoint serves.
type Channel uint8

const (
	Signatures Channel = iota
	Codebase
	Cloud
	Activation
	Sales
	Portal
	Integration
	ThreatIntelligence
	Training
	Telemetry
	Corporate
	Revocation   // never blocked but by a final rule
	Connectivity // likewise
	Local        // likewise
)

func (c Channel) String() string { return word(ChannelWords, c) }

// ChannelWords are the words for Channel in a file, by value.
var ChannelWords = []string{
	"signatures", "codebase", "cloud", "activation", "sales", "portal", "integration", "threat-intelligence", "training",
	"telemetry", "corporate", "revocation", "connectivity", "local",
}

// ParseChannel reads the word of a channel back. It is false for any other.
func ParseChannel(s string) (Channel, bool) { return parseWord[Channel](ChannelWords, s) }

// ChannelSet is a set of channels.
type ChannelSet uint32

// AllChannels holds every channel; neverBlock those that only a final rule may block.
const (
	AllChannels ChannelSet = 1<<(Local+1) - 1
	neverBlock  ChannelSet = 1<<Revocation | 1<<Connectivity | 1<<Local
)

// Channels makes a set.
func Channels(list ...Channel) ChannelSet {
	var s ChannelSet
	for _, c := range list {
		s |= 1 << c
	}
	return s
}

// Has tells whether c is in the set.
func (s ChannelSet) Has(c Channel) bool { return s&(1<<c) != 0 }

// List returns the channels in their fixed order.
func (s ChannelSet) List() []Channel {
	list := make([]Channel, 0, bits.OnesCount32(uint32(s)))
	for c := Signatures; c <= Local; c++ {
		if s.Has(c) {
			list = append(list, c)
		}
	}
	return list
}

func word[T ~uint8](words []string, v T) string {
	if int(v) < len(words) {
		return words[v]
	}
	return "unknown"
}

func parseWord[T ~uint8](words []string, s string) (T, bool) {
	i := slices.Index(words, s)
	return T(max(i, 0)), i >= 0
}
