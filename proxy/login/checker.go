package login

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/singleflight"
)

const (
	// maxPassword is how many bytes of a password bcrypt reads.
	maxPassword = 72

	// keep is how long the outcome of a check is remembered after it was last asked for.
	keep = 5 * time.Minute

	goodPairs = 16384 // remembered at a time
	badPairs  = 4096

	// maxWait is how long a check waits for others before it is given up.
	maxWait = 10 * time.Second

	// later is when to ask again if there was no time for a check.
	later = 5 * time.Second
)

// Checker checks names and passwords. As a check by bcrypt takes tens of milliseconds of processor time, and that is its point, the outcome is
// remembered, equal checks are one, few run at a time, and a client that guesses is made to wait. It is safe for concurrent use.
type Checker struct {
	users   atomic.Pointer[Users]
	digests sync.Pool // of *digester, all with the one random key of this Checker

	// Pairs of a name and a password, by their digest.
	good, bad *lru.Cache[digest, *outcome]

	flight  singleflight.Group
	slots   chan struct{} // holds an item for each check that runs
	guesses *guesses
}

// outcome is what came of a pair. It counts as long as the user has the hash that the password was checked with.
type outcome struct {
	hash  string       // empty: there was no such user
	asked atomic.Int64 // in nanoseconds since 1970
}

// NewChecker makes a Checker. It lets half the processors check at a time.
func NewChecker(users *Users) *Checker {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	c := &Checker{
		good: newPairs(goodPairs), bad: newPairs(badPairs),
		slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), guesses: newGuesses(),
	}
	c.digests.New = func() any { return &digester{mac: hmac.New(sha256.New, key)} }
	c.users.Store(users)
	return c
}

func newPairs(size int) *lru.Cache[digest, *outcome] {
	pairs, err := lru.New[digest, *outcome](size)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return pairs
}

// Replace takes other users. What is remembered of those whose hash stays the same stays, too; of all others it is void at once.
func (c *Checker) Replace(users *Users) { c.users.Store(users) }

// Knows tells whether there is such a user.
func (c *Checker) Knows(user string) bool { return c.users.Load().Knows(user) }

// Check tells whether the user has this password, of which the first 72 bytes count. If it is not ok and wait is above 0, that was not looked
// at, because this client has guessed too often, or too much is being checked, or ctx has ended: it may be asked again after that time. A
// name that nobody has takes as long as one that somebody has.
func (c *Checker) Check(ctx context.Context, client netip.Addr, user, password string) (ok bool, wait time.Duration) {
	if len(password) > maxPassword {
		password = password[:maxPassword]
	}
	users := c.users.Load()
	hash := users.hashes[user]
	pair := c.digest(user, password)
	now := time.Now()
	switch {
	case remembered(c.good, pair, hash, now):
		return true, 0
	case remembered(c.bad, pair, hash, now):
		return false, 0
	}
	// Whoever asks at the same time gets the same answer. But one that was not checked counts only for who wanted it checked.
	for {
		mine := false
		checked, err, _ := c.flight.Do(string(pair[:])+hash, func() (any, error) {
			mine = true
			return c.check(ctx, client, users, pair, user, password)
		})
		if err == nil {
			return checked.(bool), 0
		}
		if mine || ctx.Err() != nil {
			if over, ok := errors.AsType[*waitError](err); ok {
				return false, over.wait
			}
			return false, later
		}
	}
}

// waitError tells that a client has guessed too often.
type waitError struct{ wait time.Duration }

func (e *waitError) Error() string { return "too many guesses" }

// check checks a pair, once it is its turn, and remembers the outcome.
func (c *Checker) check(ctx context.Context, client netip.Addr, users *Users, pair digest, user, password string) (ok bool, err error) {
	if err := c.guesses.allow(client); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if err := c.guesses.allow(client); err != nil { // it may have sent many at once
		return false, err
	}
	result := &outcome{hash: users.hashes[user]}
	result.asked.Store(time.Now().UnixNano())
	if users.matches(result.hash, password) {
		c.good.Add(pair, result)
		return true, nil
	}
	c.guesses.failed(client)
	c.bad.Add(pair, result)
	return false, nil
}

// matches compares a password with a hash, which is empty if there is no such user. Where they differ, that takes as long as with the
// most costly of all hashes: 2^cost rounds for this one, and as many as are missing.
func (u *Users) matches(hash, password string) bool {
	err := bcrypt.CompareHashAndPassword([]byte(cmp.Or(hash, decoy(u.cost))), []byte(password))
	if err == nil && hash != "" {
		return true
	}
	if hash != "" {
		for cost := costOf(hash); cost < u.cost; cost++ {
			_ = bcrypt.CompareHashAndPassword([]byte(decoy(cost)), []byte(password))
		}
	}
	return false
}

// decoy is a hash that costs as much as a real one.
func decoy(cost int) string { return fmt.Sprintf("$2a$%02d$", cost) + strings.Repeat(".", 53) }

func remembered(pairs *lru.Cache[digest, *outcome], pair digest, hash string, now time.Time) bool {
	o, ok := pairs.Get(pair)
	if !ok || o.hash != hash || now.Sub(time.Unix(0, o.asked.Load())) > keep {
		return false
	}
	o.asked.Store(now.UnixNano())
	return true
}

// digest is that of a name and a password, by a key that nobody knows: it tells equal pairs, and nothing of them.
type digest [sha256.Size]byte

type digester struct {
	mac  hash.Hash
	text []byte
}

func (c *Checker) digest(user, password string) (sum digest) {
	d := c.digests.Get().(*digester)
	d.text = append(d.text[:0], user...)
	d.text = append(d.text, 0) // which is in no name
	d.text = append(d.text, password...)
	d.mac.Reset()
	_, _ = d.mac.Write(d.text) // never fails
	d.mac.Sum(sum[:0])
	clear(d.text)
	c.digests.Put(d)
	return sum
}
