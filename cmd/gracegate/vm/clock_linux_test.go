// The clock of a gateway on a kernel of its own, whose clocks are really set: in a virtual machine.
package vm_test

import (
	"testing"
	"time"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// inGrace is when the update server whose time has ended still had some.
var inGrace = time.Date(2024, 8, 1, 0, 0, 0, 0, time.UTC)

func TestSetWhileItRuns(t *testing.T) {
	t.Parallel()
	mark := onMachine(t, start{part: "first-start", at: time.Now()}, setWhileItRuns)
	onMachine(t, start{part: "start-set-back", at: inGrace, had: mark}, startsSetBack)
}

func setWhileItRuns(m machine) {
	began := time.Now()
	right := func() time.Time { return began.Add(time.Since(began)) } // what the machine's clock would show if nobody had set it
	m.origin()
	g := m.serve(began.Add(100*day), "/data")

	// Nobody has disciplined the clock of a machine that has just started.
	g.becomes("unsynchronised", "nobody has ever vouched for it")
	g.runs(0, `(?m)^kernel +not synchronised$`, "clock")
	g.answers(ended, 451)
	g.answers(ending, 200)
	m.synchronise()
	g.becomes("trusted", "")
	g.runs(0, `(?m)^kernel +synchronised$`, "clock")

	// Back by years: what ended stays so, from the first request on, and time passes.
	m.setClock(inGrace)
	g.answers(ended, 451)
	g.answers(ending, 200)
	g.becomes("set-back", "this program is of .* at the earliest")
	if m.synchronised() {
		m.Error("the kernel says that a clock is synchronised which was set by hand")
	}
	g.policyTime(right())
	pass(2 * time.Minute)
	g.policyTime(right())
	g.runs(0, `(?m)^machine .* behind$`, "clock")
	m.setClock(right())
	g.becomes("trusted", "")
	g.policyTime(right())

	// Ahead by a year: held, until the clock is right again.
	ahead := year + time.Second
	m.setClock(right().Add(ahead))
	g.answers(ending, 200)
	g.becomes("unconfirmed", "365d0h ahead .* no time server disciplines it")
	pass(2 * time.Minute)
	g.answers(ending, 200)
	g.policyTime(right())
	m.setClock(right())
	g.becomes("trusted", "")

	// Ahead, and a time server says so that has said nothing before: believed. Then the operator's word is needed to go back.
	m.setClock(right().Add(ahead))
	g.becomes("unconfirmed", "365d0h ahead")
	m.synchronise()
	g.becomes("trusted", "")
	g.answers(ending, 403)
	g.policyTime(right().Add(ahead))
	m.setClock(right())
	g.becomes("set-back", "365d0h behind")
	g.answers(ending, 403)
	g.runs(0, `^accepted: policy time is the machine's`, "clock", "accept", "--data-dir", "/data", "--reason", "it was a year ahead")
	g.becomes("trusted", "")
	g.answers(ending, 200)
	g.policyTime(right())

	// A time server with a wrong answer contradicts itself. It must stay with it for ten minutes.
	m.synchronise()
	g.hears("synchronised")
	m.stepClock(ahead)
	g.becomes("unconfirmed", "365d0h ahead")
	if !m.synchronised() {
		m.Error("the kernel says that a clock is not synchronised which a time server has set")
	}
	pass(9 * time.Minute)
	g.becomes("unconfirmed", "365d0h ahead")
	g.answers(ending, 200)
	m.stepClock(-ahead)
	g.becomes("trusted", "")
	g.policyTime(right())
	m.stepClock(ahead)
	g.becomes("unconfirmed", "365d0h ahead")
	pass(11 * time.Minute)
	g.becomes("trusted", "")
	g.answers(ending, 403)

	// A restart of the gateway while the clock is set back: it knows how long it was off.
	g.stop()
	m.setClock(inGrace)
	pass(2 * time.Minute)
	g = m.serve(began.Add(100*day), "/data")
	g.answers(ended, 451)
	g.answers(ending, 403)
	g.becomes("set-back", "at the earliest")
	g.policyTime(right().Add(ahead))
	g.stop()

	g.records(`"event.action":"set-back"`, 3)
	g.records(`"event.action":"unconfirmed"`, 4)
	g.records(`"message":"clock accepted: it was a year ahead".*"gracegate.policy_time_before":"`, 1)
	g.records(`"event.dataset":"gracegate.flow".*"gracegate.clock_state":"untrusted"`, 10) // what was answered meanwhile, from the start on
	g.runs(0, "whole", "audit", "verify", "--data-dir", "/data")
	m.keep("/data/clock")
}

// startsSetBack goes on from there, after the machine was off.
func startsSetBack(m machine) {
	m.origin()
	g := m.serve(inGrace.Add(100*day), "/data")
	g.answers(ended, 451)
	g.answers(ending, 403)
	g.becomes("set-back", "at the earliest")
	g.runs(2, "^error: the clock shows 2024-08-01T00:", "clock", "accept", "--data-dir", "/data", "--reason", "no")

	// What the operator says still holds, but a time server's word alone takes nothing back.
	before := g.readiness().Clock.PolicyTime
	m.setClock(before.Add(-30*day - time.Minute))
	m.synchronise()
	g.becomes("set-back", "30d0h behind")
	pass(11 * time.Minute)
	g.becomes("set-back", "30d0h behind")
	g.policyTime(before.Add(11 * time.Minute))
	g.runs(0, "^accepted", "clock", "accept", "--data-dir", "/data", "--reason", "it is a month earlier")
	g.becomes("trusted", "")
	g.policyTime(before.Add(-30*day + 10*time.Minute))
	g.stop()

	// Where the machine is believed in any case, what ended opens again.
	m.setClock(inGrace)
	g = m.serve(inGrace.Add(100*day), "/data", "--clock-untrusted", "allow")
	g.answers(ended, 200)
	g.answers(ending, 200)
	g.becomes("set-back", "at the earliest")
	g.stop()
}

// A machine without a battery starts in 1970.
func TestStartIn1970(t *testing.T) {
	t.Parallel()
	onMachine(t, start{part: "start", at: time.Unix(0, 0)}, func(m machine) {
		m.origin()
		if now := time.Now(); now.Year() != 1970 {
			m.Errorf("the machine's clock shows %v", now)
		}
		ends := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
		g := m.serve(ends, "/data", "--clock-untrusted", "block-governed")
		g.becomes("set-back", "shows 1970-01-01T00:00:.* and this program is of .* at the earliest")
		g.answers(ended, 451)
		g.answers(ending, 503)
		g.answers(free, 200)
		g.runs(5, "the clock cannot be believed", "ready")
		g.runs(2, "^error: the clock shows 1970-01-01T00:", "clock", "accept", "--data-dir", "/data", "--reason", "no")

		// A time server sets the clock, and is believed at once.
		m.setClock(ends.Add(-day))
		g.becomes("unconfirmed", "ahead")
		g.answers(ending, 503)
		m.synchronise()
		g.becomes("trusted", "")
		g.answers(ended, 451)
		g.answers(ending, 200)
		g.runs(0, "^ready", "ready")

		// 1970 again, by the word of whoever disciplines the clock.
		m.setClock(time.Unix(60, 0))
		m.synchronise()
		g.hears("synchronised")
		g.becomes("set-back", "at the earliest")
		g.answers(ending, 503)
		g.policyTime(ends.Add(-day))
		g.stop()
		g.records(`"event.action":"first-start".*policy time begins with the day of the build`, 1)
	})
}

// In 2038 the seconds since 1970 are more than 31 bits hold.
func TestOver2038(t *testing.T) {
	t.Parallel()
	last := time.Unix(1<<31-1, 0)
	onMachine(t, start{part: "start", at: last.Add(-time.Minute)}, func(m machine) {
		m.origin()
		g := m.serve(last.Add(time.Second), "/data")
		m.synchronise()
		g.becomes("trusted", "")
		g.answers(ended, 451)
		g.answers(ending, 200)
		pass(time.Until(last.Add(time.Second)))
		g.answers(ending, 403)
		g.becomes("trusted", "")
		g.policyTime(time.Now())

		// Ahead to where a time of Go has no room for the monotonic clock, since 2157, and a restart there.
		g.stop()
		far := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
		g = m.serve(far.Add(-day), "/data")
		g.becomes("trusted", "")
		began := time.Now()
		m.setClock(far)
		g.becomes("unconfirmed", "ahead of the 2038-01-19T03:1")
		g.answers(ending, 200)
		g.stop()
		g = m.serve(far.Add(-day), "/data")
		g.becomes("unconfirmed", "ahead of the 2038-01-19T03:1")
		g.answers(ending, 200)
		pass(2 * time.Minute)
		g.policyTime(began.Add(time.Since(began)))
		m.setClock(last.Add(-year))
		g.becomes("set-back", "behind the 2038-01-19T03:1")
		g.policyTime(began.Add(time.Since(began)))
		g.stop()
		g.records(`"@timestamp":"2038-01-19T03:14:08.*"event.dataset":"gracegate.flow"`, 1)
	})
}

// The time that a machine sleeps has elapsed: its clock has not been set when it wakes up.
func TestSleep(t *testing.T) {
	t.Parallel()
	const nap = 10 * time.Second
	onMachine(t, start{part: "start", at: time.Now(), hostTime: true}, func(m machine) {
		began := time.Now()
		g := m.serve(began.Add(100*day), "/data")
		m.synchronise()
		g.becomes("trusted", "")
		m.sleep(nap)
		if awake, passed := time.Since(began), time.Now().Round(0).Sub(began.Round(0)); passed-awake < nap/2 {
			m.Errorf("%s passed, of which the machine was awake for %s", passed, awake)
		}
		g.becomes("trusted", "")
		g.policyTime(time.Now())
		pass(2 * time.Second) // the gateway has looked at the clocks
		g.stop()
		g.records(`"event.dataset":"gracegate.clock"`, 3) // the first start, unsynchronised, and trusted since then
	})
}
