package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// ways are all the ways in which a flow can be open when its end comes.
func ways() []*way {
	return slices.Concat(downloads(), uploads(), quietTunnels(), busyTunnels())
}

// light are those that cost little: what ends a flow is the same for all, and how it ends was seen with the rest.
func light() []*way {
	return slices.DeleteFunc(ways(), func(w *way) bool { return w.heavy })
}

// answering is a way to download: the client asks, and the origin says this and waits.
func answering(name, version, head, begin, rest string) *way {
	return &way{
		name: name, kind: "plain",
		serve: func(s *stage, c *net.TCPConn) {
			readHead(c)
			_, _ = io.WriteString(c, head+begin)
			close(s.begun)
			s.hold(c, rest)
		},
		open: func(s *stage, r *rig) func() error {
			return s.request(r, http.MethodGet, version, "").reads(http.MethodGet)
		},
	}
}

const (
	headInChunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	headByClose  = "HTTP/1.1 200 OK\r\n\r\n"
)

func downloads() []*way {
	known := answering("a download of known length", "HTTP/1.1", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(piece+last)), piece, last)
	chunked := answering("a download in chunks", "HTTP/1.1", headInChunks, chunk(piece), endChunk)
	opened := answering("a download that ends with the origin's connection", "HTTP/1.1", headByClose, piece, last)
	old := answering("a download in chunks for an old client", "HTTP/1.0", headInChunks, chunk(piece), endChunk)
	bare := answering("a download that ends with both connections", "HTTP/1.0", headByClose, piece, last)
	waiting := answering("an answer that has not begun", "HTTP/1.1", "", "", headInChunks+endChunk)
	for _, w := range []*way{known, chunked, opened, waiting} {
		w.framed = true
	}
	return []*way{
		known, chunked, opened, old, bare, waiting,
		pouring("a download at full flow", "HTTP/1.1", headInChunks, chunk(bulk), endChunk),
		pouring("a download at full flow for an old client", "HTTP/1.0", headByClose, bulk, last),
		{
			name: "a download that the client does not take", kind: "plain", framed: true, deaf: true, heavy: true,
			serve: func(s *stage, c *net.TCPConn) {
				readHead(c)
				_, _ = io.WriteString(c, headInChunks)
				rest, err := stuff(c, chunk(bulk))
				if err == nil {
					close(s.begun)
					s.hold(c, rest+endChunk)
				}
			},
			open: func(s *stage, r *rig) func() error {
				return s.request(r, http.MethodGet, "HTTP/1.1", "").reads(http.MethodGet)
			},
		},
	}
}

// pouring is a download in full flow.
func pouring(name, version, head, piece, rest string) *way {
	return &way{
		name: name, kind: "plain", framed: version == "HTTP/1.1", heavy: true,
		serve: func(s *stage, c *net.TCPConn) {
			readHead(c)
			_, _ = io.WriteString(c, head)
			s.pour(c, piece, rest)
		},
		open: func(s *stage, r *rig) func() error {
			w := s.request(r, http.MethodGet, version, "")
			resp, err := http.ReadResponse(w.in, nil)
			if err != nil {
				r.t.Fatalf("%s: %v", s.name, err)
			}
			r.t.Cleanup(func() { _ = resp.Body.Close() })
			if _, err = io.CopyN(io.Discard, resp.Body, 4<<20); err != nil {
				r.t.Fatalf("%s: %v", s.name, err)
			}
			close(s.begun)
			return func() error { return toLast(resp.Body) }
		},
	}
}

func uploads() []*way {
	return []*way{
		uploading("an upload of known length", fmt.Sprintf("Content-Length: %d\r\n", len(piece+last)), piece, last),
		uploading("an upload in chunks", "Transfer-Encoding: chunked\r\n", chunk(piece), endChunk),
		{
			name: "an upload that the origin does not take", kind: "plain", framed: true, frozen: true, heavy: true,
			serve: func(s *stage, c *net.TCPConn) {
				close(s.begun)
				<-s.finish
				serveUpload(s, c, func() {})
			},
			open: func(s *stage, r *rig) func() error {
				w := s.request(r, http.MethodPost, "HTTP/1.1", "Transfer-Encoding: chunked\r\n")
				return s.push(r, w, chunk(bulk), endChunk, w.reads(http.MethodPost))
			},
		},
	}
}

// uploading is an upload of which the second half waits.
func uploading(name, fields, begin, rest string) *way {
	return &way{
		name: name, kind: "plain", framed: true,
		serve: func(s *stage, c *net.TCPConn) { serveUpload(s, c, func() { close(s.begun) }) },
		open: func(s *stage, r *rig) func() error {
			w := s.request(r, http.MethodPost, "HTTP/1.1", fields).send(begin)
			go func() {
				<-s.finish
				_, _ = io.WriteString(w.TCPConn, rest)
			}()
			return w.reads(http.MethodPost)
		},
	}
}

// serveUpload takes an upload, and says when the first part was there.
func serveUpload(s *stage, c *net.TCPConn, begun func()) {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		_, err = io.CopyN(io.Discard, req.Body, int64(len(piece)))
		begun()
	}
	if err == nil {
		err = toLast(req.Body)
	}
	if err != nil {
		s.origin <- ending{at: time.Now(), err: err}
		return
	}
	s.hold(c, headInChunks+endChunk)
}

// push sends until nobody takes it, and goes on once somebody does.
func (s *stage) push(r *rig, w *wire, piece, rest string, read func() error) func() error {
	w.send(piece)
	s.begins(r)
	left, err := stuff(w.TCPConn, piece)
	if err != nil {
		r.t.Fatalf("%s: %v", s.name, err)
	}
	return func() error {
		_, err := io.WriteString(w.TCPConn, left+rest)
		if err != nil {
			return err
		}
		return read()
	}
}

// drip says a little now and then, until the flow may end or is over.
func (s *stage) drip(c *net.TCPConn) {
	now := time.NewTicker(20 * time.Millisecond)
	defer now.Stop()
	for {
		select {
		case <-s.finish:
			_, _ = io.WriteString(c, last)
			return
		case <-now.C:
			if _, err := io.WriteString(c, "."); err != nil {
				s.origin <- ending{time.Now(), err}
				return
			}
		}
	}
}

// silence is a tunnel through which the origin says this at once, and its last word when the flow may end.
func silence(name, greeting string, open func(s *stage, r *rig) *wire) *way {
	return &way{
		name: name, kind: "tunnel",
		serve: func(s *stage, c *net.TCPConn) {
			_, _ = io.WriteString(c, greeting)
			s.hold(c, last)
		},
		open: func(s *stage, r *rig) func() error {
			w := open(s, r)
			w.expect(greeting)
			close(s.begun)
			return w.readsOn()
		},
	}
}

func quietTunnels() []*way {
	return []*way{
		silence("an idle tunnel", "ready", func(s *stage, r *rig) *wire { return s.tunnel(r, helloFor(s.host)) }),
		silence("a tunnel without TLS", "ready", func(s *stage, r *rig) *wire { return s.tunnel(r, "SSH-2.0-client\r\n") }),
		silence("a tunnel in which nobody has spoken", "", func(s *stage, r *rig) *wire { return s.tunnel(r, "") }),
		silence("a tunnel in which only the origin has spoken", "220 mail", func(s *stage, r *rig) *wire { return s.tunnel(r, "") }),
		silence("a tunnel with half a hello", "", func(s *stage, r *rig) *wire {
			half := helloFor(s.host)
			w := s.tunnel(r, half[:20])
			go func() {
				<-s.finish
				_, _ = io.WriteString(w.TCPConn, half[20:])
			}()
			return w
		}),
		{
			name: "a tunnel whose client has finished", kind: "tunnel",
			serve: func(s *stage, c *net.TCPConn) {
				_, _ = io.Copy(io.Discard, c)
				close(s.begun)
				s.drip(c)
			},
			open: func(s *stage, r *rig) func() error {
				w := s.tunnel(r, helloFor(s.host))
				_ = w.CloseWrite()
				return func() error { return toLast(w.in) }
			},
		},
		{
			name: "a WebSocket", kind: "websocket",
			serve: func(s *stage, c *net.TCPConn) {
				readHead(c)
				_, _ = io.WriteString(c, wsAnswer+"hello ")
				s.hold(c, last)
			},
			open: func(s *stage, r *rig) func() error {
				w := r.webSocket("http://" + s.host + "/chat")
				w.expect("hello ")
				close(s.begun)
				return w.readsOn()
			},
		},
	}
}

func busyTunnels() []*way {
	return []*way{
		{
			name: "a download over TLS", kind: "tunnel", framed: true,
			serve: func(s *stage, c *net.TCPConn) {
				in := tls.Server(c, s.secure)
				readHead(in)
				_, _ = io.WriteString(in, headInChunks+chunk(piece))
				s.hold(in, endChunk)
			},
			open: func(s *stage, r *rig) func() error {
				w := s.tunnel(r, "")
				c := tls.Client(w.TCPConn, &tls.Config{ServerName: s.host, RootCAs: s.roots})
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				in := bufio.NewReader(c)
				if _, err := in.Peek(len(headInChunks + chunk(piece))); err != nil {
					r.t.Fatalf("%s: %v", s.name, err)
				}
				close(s.begun)
				return func() error {
					err := whole(in, http.MethodGet)
					_ = w.CloseWrite()
					return err
				}
			},
		},
		{
			name: "a tunnel at full flow", kind: "tunnel", heavy: true,
			serve: func(s *stage, c *net.TCPConn) {
				readFull(c, make([]byte, 5))
				s.pour(c, bulk, last)
			},
			open: func(s *stage, r *rig) func() error {
				w := s.tunnel(r, helloFor(s.host))
				if _, err := io.CopyN(io.Discard, w, 4<<20); err != nil {
					r.t.Fatalf("%s: %v", s.name, err)
				}
				close(s.begun)
				return w.readsOn()
			},
		},
		{
			name: "a tunnel whose client takes nothing", kind: "tunnel", deaf: true, heavy: true,
			serve: func(s *stage, c *net.TCPConn) {
				readFull(c, make([]byte, 5))
				if rest, err := stuff(c, bulk); err == nil {
					close(s.begun)
					s.hold(c, rest+last)
				}
			},
			open: func(s *stage, r *rig) func() error { return s.tunnel(r, helloFor(s.host)).readsOn() },
		},
		{
			name: "a tunnel whose origin takes nothing", kind: "tunnel", frozen: true, heavy: true,
			serve: func(s *stage, c *net.TCPConn) {
				close(s.begun)
				<-s.finish
				if err := toLast(c); err != nil {
					s.origin <- ending{at: time.Now(), err: err}
					return
				}
				_, _ = io.WriteString(c, last)
			},
			open: func(s *stage, r *rig) func() error {
				w := s.tunnel(r, helloFor(s.host))
				return s.push(r, w, bulk, last, func() error {
					_ = w.CloseWrite()
					return toLast(w.in)
				})
			},
		},
	}
}
