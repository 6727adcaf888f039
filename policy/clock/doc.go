// Package clock is the edge clock: the one place that says what instant a policy is asked about.
//
// [Simulated], made by [At], is a clock for tests and rehearsals, which starts at a chosen instant and runs at a chosen rate.
// [Guarded], made by [New], is the clock of a gateway: the machine's, which cannot be turned back.
//
// # Policy time
//
// Policy time is what Now returns. The guarded clock makes it from two clocks of the machine: the wall clock, which tells the
// date and can be set, and the time elapsed since the machine started, which nobody can set and which goes on while the
// machine sleeps (CLOCK_BOOTTIME).
//
//   - Policy time never goes back, except by [Guarded.Accept], the operator's word. It is kept in a file, the mark, so that this
//     holds over restarts.
//   - While the wall clock goes as time elapses, policy time is the wall clock. Small steps are followed, together at most five
//     minutes a day in both directions: after one forward policy time is later, after one back it stands still until the wall clock
//     has caught up.
//   - When the wall clock is set back by more, policy time goes on from where it was as time elapses, so that deadlines still
//     come. The state is [SetBack] until the wall clock is right again, or the operator accepts it. Nobody else can lower
//     policy time: neither the kernel nor a time server.
//   - When the wall clock jumps forward by more, policy time goes on in the same way, as if it had not jumped. The state is
//     [Unconfirmed] until somebody vouches for the wall clock; then policy time jumps too. Held, policy time is behind if the
//     jump was right, so that what ends passes a little longer; followed, one wrong answer of a time server would block
//     for good what has not ended.
//
// # Who vouches
//
// A second source, if there is one, that agrees with the wall clock within a minute. One that contradicts it is the stronger: the
// state is [Contradicted] then, or stays Unconfirmed, until it agrees. The second source never sets policy time. Where it does not answer, or
// there is none, the kernel vouches while it says that a time server disciplines it (STA_UNSYNC is clear, adjtimex(2)): at once
// if it did not say so before the jump, as after the start of a machine without a battery; otherwise it has contradicted
// itself, as one wrong answer makes it do, and must have said so for ten minutes without a break and without another jump. And the operator.
//
// # At the start
//
// The mark is where policy time was, and, if the machine has not been started anew since, the time elapsed since then is known.
// A wall clock that differs from that by a small step is believed as it was before. Else it has jumped, and what is said above
// holds: where nobody vouches for it, the time that the gateway was off is not counted.
//
// Without a mark (the first start), or with a damaged one, the wall clock is taken as it is, and the state is
// [Unsynchronised] until somebody vouches for it; but no real instant is before the day of the build: a wall clock before it is SetBack.
//
// # What is left to the caller
//
// Whether to use a clock that is not [Trusted]: see [Options].Believe, and what a policy makes of it. The package writes no record and no log; it
// reports. It does not set the machine's clock and does not keep it right, knows no time zones (every instant is in UTC), and
// times nothing out: that is for real time. The law itself reads no clock; it takes the instant as an argument.
package clock
