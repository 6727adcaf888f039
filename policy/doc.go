// Package policy is the law: what vendors' endpoints are, which dated restrictions, rules, waivers and settings bind which
// clients, and the verdict that follows for a flow at an instant.
//
// [NewCatalog] takes the vendors and restrictions, [Compile] joins them with the operator's policy, and [Policy.Decide] is
// the one decision function. It is pure and total: the instant is an argument, there is no I/O, no error and no allocation.
// [Policy.Explain] gives the reasons for the same decision.
//
// How it works: judge.go is the law on one screen. Compile runs it at every instant at which anything can change, for every
// scope (who the client is) and every class (what the endpoint means), and keeps the results as timelines. Decide looks up.
//
// The package reads no clock, no file and no network. YAML is read by policy/source; the clock is at the edge, in
// policy/clock. It enforces what the operator chose, modelled on legal texts; it makes nobody compliant with them.
package policy
