package login

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

const (
	// freeGuesses is how many wrong passwords a client may send in a row; after that, one each guessEvery.
	freeGuesses = 10
	guessEvery  = 5 * time.Second

	// guessers bounds the clients whose wrong passwords are counted. The longest quiet one is forgotten first.
	guessers = 4096
)

// guesses counts the wrong passwords of each client. A pair that is known to be wrong already is no guess, nor does it cost anything: a
// program that goes on with an old password does not keep the people beside it from logging in.
type guesses struct {
	mu      sync.Mutex
	clients *simplelru.LRU[netip.Addr, *rate.Limiter]
}

func newGuesses() *guesses {
	clients, err := simplelru.NewLRU[netip.Addr, *rate.Limiter](guessers, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &guesses{clients: clients}
}

// allow returns a *waitError for a client that must wait.
func (g *guesses) allow(client netip.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if left, ok := g.clients.Peek(client); ok {
		if missing := 1 - left.Tokens(); missing > 0 {
			return &waitError{time.Duration(missing * float64(guessEvery))}
		}
	}
	return nil
}

// failed counts a wrong password.
func (g *guesses) failed(client netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	left, ok := g.clients.Get(client)
	if !ok {
		left = rate.NewLimiter(rate.Every(guessEvery), freeGuesses)
		g.clients.Add(client, left)
	}
	left.Allow()
}
