package proxy

import (
	"context"
	"io"
	"net/netip"
	"time"
)

// race tries addresses in their order, each a delay after the one before it or as soon as that failed, and returns the
// first connection that comes about (RFC 8305, section 5). When it returns, every try has ended and what came too late is
// closed. If none comes about, the error is that of the first address.
func race[C io.Closer](ctx context.Context, to []netip.AddrPort, delay time.Duration, try func(context.Context, netip.AddrPort) (C, error)) (C, error) {
	if len(to) == 1 {
		return try(ctx, to[0])
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		number int
		conn   C
		err    error
	}
	var (
		results = make(chan result)
		errs    = make([]error, len(to))
		started int
		running int
	)
	start := func() {
		if started < len(to) && ctx.Err() == nil {
			go func(number int) {
				conn, err := try(ctx, to[number])
				results <- result{number, conn, err}
			}(started)
			started++
			running++
		}
	}
	next := time.NewTicker(delay)
	defer next.Stop()
	for start(); running > 0; {
		select {
		case <-next.C:
			start()
		case r := <-results:
			running--
			if r.err != nil {
				errs[r.number] = r.err
				start()
				next.Reset(delay)
				continue
			}
			stop()
			for ; running > 0; running-- {
				if late := <-results; late.err == nil {
					_ = late.conn.Close()
				}
			}
			return r.conn, nil
		}
	}
	var none C
	for _, err := range errs {
		if err != nil {
			return none, err
		}
	}
	return none, context.Cause(ctx)
}
