package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// trickle is an origin whose answers take as long as the script wants. It says "part" again and again, until it is told to
// finish; an upload it reads to its end before it answers. These two it answers at once:
//
//	/-/asked/N    when so many other requests have come, and their clients got a part or sent one
//	/-/finish     now all answers come to their end
type trickle struct {
	mu     sync.Mutex
	asked  int
	more   chan struct{} // closed when one more has come
	finish chan struct{}
}

// scriptTrickle runs two of it that know each other, in plain and over TLS; $TRICKLE and $TRICKLE_TLS are their addresses.
func scriptTrickle(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "trickle")
	secure, _, err := newOriginTLS()
	ts.Check(err)
	o := &trickle{more: make(chan struct{}), finish: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/-/asked/{n}", o.wait)
	mux.HandleFunc("/-/finish", func(http.ResponseWriter, *http.Request) { close(o.finish) })
	mux.Handle("/", o)
	for name, cfg := range map[string]*tls.Config{"TRICKLE": nil, "TRICKLE_TLS": secure} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv(name, l.Addr().String())
		if cfg != nil {
			l = tls.NewListener(l, cfg)
		}
		server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
		ts.Defer(func() { _ = server.Close() })
		go func() { _ = server.Serve(l) }()
	}
}

func (o *trickle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		_, _ = io.ReadFull(r.Body, make([]byte, 1))
		o.came()
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			_, _ = io.WriteString(w, "got it\n")
		}
		return
	}
	next := time.NewTicker(20 * time.Millisecond)
	defer next.Stop()
	o.came()
	for {
		_, err := io.WriteString(w, "part\n")
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		if err != nil {
			return
		}
		select {
		case <-o.finish:
			_, _ = io.WriteString(w, "the end\n")
			return
		case <-r.Context().Done():
			return
		case <-next.C:
		}
	}
}

func (o *trickle) came() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	close(o.more)
	o.more = make(chan struct{})
}

func (o *trickle) wait(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for timeout := time.After(patience); ; {
		o.mu.Lock()
		asked, more := o.asked, o.more
		o.mu.Unlock()
		if asked >= n {
			return
		}
		select {
		case <-more:
		case <-timeout:
			http.Error(w, fmt.Sprintf("%d requests came", asked), http.StatusGatewayTimeout)
			return
		}
	}
}
