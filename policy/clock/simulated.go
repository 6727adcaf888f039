package clock

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
)

// Simulated is a clock for tests and rehearsals. It has no mark, and is always trusted. Its methods may be called from any
// goroutine.
type Simulated struct {
	start  time.Time // where it began
	origin time.Time // the real instant at which it began, with its monotonic reading
	rate   float64

	// rate once more, as what a float64 is: mantissa * 2^exponent, with a whole mantissa.
	mantissa *big.Int
	exponent int
}

// The instants that a policy can tell apart: what 64 bits of nanoseconds since 1970 hold.
var (
	first = time.Unix(0, math.MinInt64).UTC() // 1677-09-21T00:12:43.145224192Z
	last  = time.Unix(0, math.MaxInt64).UTC() // 2262-04-11T23:47:16.854775807Z
)

// At returns a simulated clock that shows start now and runs rate times as fast as real time from here: 1 keeps pace, 0
// stands still. Changes of the machine's wall clock do not move it. It stands still for good at
// 2262-04-11T23:47:16.854775807Z, the last instant in 64 bits of nanoseconds since 1970; a start after that is that instant, and one
// before the first such instant (in the year 1677) is the first.
//
// A rate that is negative, infinite or not a number is the caller's mistake, and panics.
func At(start time.Time, rate float64) *Simulated {
	if !(rate >= 0) || math.IsInf(rate, 1) {
		panic("clock: rate " + decimal(rate) + " is not a finite number from 0 up")
	}
	fraction, exponent := math.Frexp(rate)
	return &Simulated{
		start:    clamp(start),
		origin:   time.Now(),
		rate:     rate,
		mantissa: big.NewInt(int64(math.Ldexp(fraction, 53))),
		exponent: exponent - 53,
	}
}

// Now returns the instant for policy, in UTC and without a monotonic reading: two of them compare by what they say,
// also when the machine slept or its wall clock was stepped in between.
func (c *Simulated) Now() time.Time {
	now := c.scaled(time.Since(c.origin))
	now.Add(now, big.NewInt(c.start.UnixNano()))
	if !now.IsInt64() {
		return last
	}
	return time.Unix(0, now.Int64()).UTC()
}

// String describes the clock for a log line: from where and at what rate it is simulated.
func (c *Simulated) String() string {
	return fmt.Sprintf("simulated from %s at rate %s", c.start.Format(time.RFC3339Nano), decimal(c.rate))
}

// scaled returns the nanoseconds of a simulated clock in so many of real time, rounded to the nearest. It reckons in
// whole numbers of any length: a float64 would lose nanoseconds after three months, and 64 bits would overflow.
func (c *Simulated) scaled(real time.Duration) *big.Int {
	n := new(big.Int).Mul(big.NewInt(int64(real)), c.mantissa)
	if c.exponent >= 0 {
		return n.Lsh(n, uint(c.exponent))
	}
	shift := uint(-c.exponent)
	half := new(big.Int).Lsh(big.NewInt(1), shift-1)
	return n.Rsh(n.Add(n, half), shift)
}

func clamp(t time.Time) time.Time {
	switch t = t.Round(0).UTC(); {
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t
}

func decimal(rate float64) string { return strconv.FormatFloat(rate, 'f', -1, 64) }
