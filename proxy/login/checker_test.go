package login

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var client = netip.MustParseAddr("192.0.2.1")

// usersOf are users with the passwords that follow their names.
func usersOf(tb testing.TB, pairs ...string) *Users {
	tb.Helper()
	u := &Users{hashes: make(map[string]string), cost: 4}
	for i := 0; i < len(pairs); i += 2 {
		u.hashes[pairs[i]] = hashOf(tb, pairs[i+1])
	}
	return u
}

func TestCheck(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("l", maxPassword)
	c := NewChecker(usersOf(t, "ann", "of ann", "bob", "of: bob", "Jürgen", "ü", "empty", "", "long", long))
	for range 2 { // the second time from memory
		for _, p := range []struct {
			user, password string
			ok             bool
		}{
			{"ann", "of ann", true},
			{"bob", "of: bob", true},
			{"Jürgen", "ü", true},
			{"empty", "", true},
			{"long", long, true},
			{"long", long + "more", true}, // as every bcrypt reads it
			{"ann", "of Ann", false},
			{"ann", "", false},
			{"Ann", "of ann", false},
			{"nobody", "", false},
			{"", "", false},
		} {
			if ok, wait := c.Check(t.Context(), client, p.user, p.password); ok != p.ok || wait != 0 {
				t.Errorf("%q %q: %v, wait %v", p.user, p.password, ok, wait)
			}
		}
	}
}

// A wrong password and a wrong name take as long as each other, whatever the costs of those that the file has.
func TestNamesCannotBeTold(t *testing.T) {
	t.Parallel()
	u := usersOf(t, "cheap", "x")
	u.cost = 7 // 8 times as much as the hash of cheap takes
	took := func(hash string) time.Duration {
		best := time.Hour
		for range 5 {
			start := time.Now()
			u.matches(hash, "wrong")
			best = min(best, time.Since(start))
		}
		return best
	}
	known, unknown := took(u.hashes["cheap"]), took("")
	if known > 3*unknown || unknown > 3*known {
		t.Errorf("%v for a known name, %v for an unknown one", known, unknown)
	}
}

func TestOutcomesAreForgotten(t *testing.T) {
	t.Parallel()
	users := usersOf(t, "ann", "of ann")
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(users)
		pair := c.digest("ann", "of ann")
		ask := func(remember bool) {
			t.Helper()
			if got := remembered(c.good, pair, users.hashes["ann"], time.Now()); got != remember {
				t.Errorf("remembered: %v", got)
			}
			if ok, _ := c.Check(t.Context(), client, "ann", "of ann"); !ok {
				t.Error("ann is refused")
			}
		}
		ask(false)
		for range 3 {
			time.Sleep(keep) // in the time of the bubble
			ask(true)
		}
		time.Sleep(keep + 1)
		ask(false)
	})
}

func TestReplace(t *testing.T) {
	t.Parallel()
	before := usersOf(t, "ann", "of ann", "bob", "of bob", "carol", "of carol")
	c := NewChecker(before)
	check := func(user, password string, want bool) {
		t.Helper()
		if ok, wait := c.Check(t.Context(), client, user, password); ok != want || wait != 0 {
			t.Errorf("%s with %q: %v, wait %v", user, password, ok, wait)
		}
	}
	for _, user := range []string{"ann", "bob", "carol"} {
		check(user, "of "+user, true)
	}
	check("ann", "new", false)
	check("dave", "of dave", false)
	after := usersOf(t, "ann", "new", "dave", "of dave")
	after.hashes["bob"] = before.hashes["bob"]
	c.Replace(after)
	check("ann", "of ann", false)
	check("ann", "new", true)
	check("carol", "of carol", false)
	check("dave", "of dave", true)
	if !remembered(c.good, c.digest("bob", "of bob"), after.hashes["bob"], time.Now()) {
		t.Error("of bob nothing has changed, and he must be checked again")
	}
	if c.Knows("carol") || !c.Knows("dave") {
		t.Error("carol is known, or dave is not")
	}
}

// Many who ask the same at the same time cost one check.
func TestEqualChecksAreOne(t *testing.T) {
	t.Parallel()
	users := usersOf(t, "ann", "of ann")
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(users)
		hold(c)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if ok, _ := c.Check(t.Context(), client, "ann", "wrong"); ok {
					t.Error("let in")
				}
			})
		}
		synctest.Wait()
		release(c)
		all.Wait()
		if got := freeGuesses - c.guesses.left(client); got != 1 {
			t.Errorf("%d guesses", got)
		}
	})
}

// hold takes all places for checks.
func hold(c *Checker) {
	for range cap(c.slots) {
		c.slots <- struct{}{}
	}
}

func release(c *Checker) {
	for range cap(c.slots) {
		<-c.slots
	}
}

// left is how many wrong passwords a client may send at once.
func (g *guesses) left(client netip.Addr) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.clients.Peek(client)
	if !ok {
		return freeGuesses
	}
	return int(l.Tokens())
}

// Whoever goes away, or cannot wait, leaves the others alone that ask the same.
func TestOneLeavesAndTheOthersStay(t *testing.T) {
	t.Parallel()
	users := usersOf(t, "ann", "of ann")
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(users)
		hold(c)
		first, leave := context.WithCancel(t.Context())
		left, stayed := make(chan time.Duration, 1), make(chan bool, 1)
		go func() {
			_, wait := c.Check(first, client, "ann", "of ann")
			left <- wait
		}()
		synctest.Wait()
		go func() {
			ok, _ := c.Check(t.Context(), client, "ann", "of ann")
			stayed <- ok
		}()
		synctest.Wait()
		leave()
		if wait := <-left; wait != later {
			t.Errorf("wait %v", wait)
		}
		release(c)
		if !<-stayed {
			t.Error("the other is refused")
		}
	})
}

func TestNobodyWaitsForEver(t *testing.T) {
	t.Parallel()
	users := usersOf(t, "ann", "of ann")
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(users)
		hold(c)
		start := time.Now()
		if ok, wait := c.Check(t.Context(), client, "ann", "of ann"); ok || wait != later || time.Since(start) != maxWait {
			t.Errorf("%v, wait %v, after %v", ok, wait, time.Since(start))
		}
		release(c)
		if ok, _ := c.Check(t.Context(), client, "ann", "of ann"); !ok {
			t.Error("refused once there is time")
		}
	})
}

func TestGuessesAreBounded(t *testing.T) {
	t.Parallel()
	users := usersOf(t, "ann", "of ann", "bob", "of bob")
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(users)
		other := netip.MustParseAddr("2001:db8::1")
		if ok, _ := c.Check(t.Context(), client, "bob", "of bob"); !ok {
			t.Error("bob is refused")
		}
		guess := func(n int) (ok bool, wait time.Duration) {
			return c.Check(t.Context(), client, "ann", fmt.Sprint("guess ", n))
		}
		for n := range freeGuesses {
			if ok, wait := guess(n); ok || wait != 0 {
				t.Fatalf("guess %d: %v, wait %v", n, ok, wait)
			}
		}
		if _, wait := guess(freeGuesses); wait <= 0 || wait > guessEvery {
			t.Errorf("wait %v", wait)
		}
		// It is told again what is known already, as good and as bad; and it is alone with that.
		if ok, wait := guess(3); ok || wait != 0 {
			t.Errorf("an old guess: %v, wait %v", ok, wait)
		}
		if ok, _ := c.Check(t.Context(), client, "bob", "of bob"); !ok {
			t.Error("bob is refused beside one who guesses")
		}
		if ok, _ := c.Check(t.Context(), other, "ann", "of ann"); !ok {
			t.Error("another client is refused")
		}
		time.Sleep(guessEvery)
		if ok, wait := guess(freeGuesses); ok || wait != 0 {
			t.Errorf("after a pause: %v, wait %v", ok, wait)
		}
		if _, wait := guess(freeGuesses + 1); wait == 0 {
			t.Error("two guesses after one pause")
		}
	})
}

// Guesses that come at once, before any of them was found to be wrong, are no more than those that come one by one.
func TestGuessesAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	users := usersOf(t, "ann", "of ann")
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(users)
		hold(c)
		var all sync.WaitGroup
		for n := range 500 {
			all.Go(func() { c.Check(t.Context(), client, "ann", fmt.Sprint("guess ", n)) })
		}
		synctest.Wait()
		release(c)
		all.Wait()
		if n := c.bad.Len(); n < freeGuesses || n > freeGuesses+cap(c.slots) {
			t.Errorf("%d were checked", n)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	g := newGuesses()
	for i := range 2 * guessers {
		g.failed(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if n := g.clients.Len(); n != guessers {
		t.Errorf("%d clients", n)
	}
}

// A client that stays pays for a check once: this is what each of its requests costs from then on.
func BenchmarkKnownPair(b *testing.B) {
	c := NewChecker(usersOf(b, "ann", "of ann"))
	b.ReportAllocs()
	for b.Loop() {
		if ok, _ := c.Check(b.Context(), client, "ann", "of ann"); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkUnknownPairAtCost10(b *testing.B) {
	u := &Users{cost: 10}
	for b.Loop() {
		u.matches("", "guess")
	}
}
