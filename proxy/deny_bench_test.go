package proxy

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/source"
)

// BenchmarkRefuse is all that a refusal of a plain request costs in the fast lane, from the facts to the bytes on loopback:
// verdict, record (thrown away), log (folded) and answer.
func BenchmarkRefuse(b *testing.B) {
	for _, c := range []struct {
		name, host string
		by         asker
	}{
		{"problem", "cloud.acme.example", asker{}},
		{"page", "cloud.acme.example", asker{html: true}},
		{"rule", "games.example", asker{}},
		{"head", "cloud.acme.example", asker{head: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := benchServer(b)
			w := &laneWriter{lane: benchLane(b, s)}
			name, client := host.MustParse(c.host), netip.MustParseAddrPort("127.0.0.1:40000")
			b.ReportAllocs()
			for b.Loop() {
				f := newPlainFlow(client, http.MethodGet, name, 80, "/index/u1313g.xml", "", "http://"+c.host+"/index/u1313g.xml?a=b")
				s.judge(f)
				if f.ruling.Verdict != policy.Block {
					b.Fatal("it is not refused")
				}
				s.refuse(w, c.by, f)
			}
			if w.err != nil {
				b.Fatal(w.err)
			}
		})
	}
}

// benchServer is a server under the law of the tests, past its deadline, that records into nothing.
func benchServer(b *testing.B) *Server {
	b.Helper()
	s := New(Config{
		Policies: benchPolicies(b), Clock: func() Instant { return Instant{At: deadline} }, Recorder: noRecorder{}, Observer: noObserver{}, Dialer: NewDialer(DialConfig{}),
		Log: zap.NewNop(), RetryAfter: time.Hour,
		Operator: Operator{Name: "The Tests", Contact: "ops@test.example", URL: "https://test.example/blocked"},
	})
	b.Cleanup(s.quiet.close)
	return s
}

func benchPolicies(b *testing.B) *policy.Holder {
	b.Helper()
	vendor, problems := source.Vendor(source.File{Name: "acme.yaml", Data: []byte(vendorYAML)}, nil)
	restriction, more := source.Restriction(source.File{Name: "test-2024-001.yaml", Data: []byte(restrictionYAML)})
	operator, evenMore := source.Operator(source.File{Name: "policy.yaml", Data: []byte(operatorYAML)})
	if err := slices.Concat(problems, more, evenMore).Err(); err != nil {
		b.Fatal(err)
	}
	catalog, err := policy.NewCatalog([]policy.Vendor{vendor}, []policy.Restriction{restriction}, []policy.Jurisdiction{{ID: "US", Name: "Us"}}, "digest")
	if err != nil {
		b.Fatal(err)
	}
	holder := &policy.Holder{}
	if err := holder.Reload(func(*policy.Policy) (*policy.Policy, error) {
		return policy.Compile(catalog, &operator, policy.Options{Revision: "test"})
	}); err != nil {
		b.Fatal(err)
	}
	return holder
}

// benchLane is a lane whose client takes whatever comes.
func benchLane(b *testing.B, s *Server) *lane {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, client) }() // until the other side is closed
	c, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = c.Close(), client.Close() })
	ln := newLane(s.front, c.(*net.TCPConn), netip.MustParseAddrPort("127.0.0.1:40000"), seat{})
	ln.laneScratch = new(laneScratch)
	return ln
}

type noRecorder struct{}

func (noRecorder) Record(*audit.Record) {}
func (noRecorder) Failing() bool        { return false }

type noObserver struct{}

func (noObserver) Decided(*policy.Decision, policy.Cause, time.Duration) {}
func (noObserver) Guarded(string)                                        {}
func (noObserver) FlowOpened(string)                                     {}
func (noObserver) FlowClosed(_, _ string)                                {}
func (noObserver) DialFailed(string)                                     {}
func (noObserver) Limited(string)                                        {}

// BenchmarkPage is what of a refusal is filling its page, of which all but the slots is kept.
func BenchmarkPage(b *testing.B) {
	for _, c := range []struct {
		name string
		by   asker
	}{{"problem", asker{}}, {"page", asker{html: true}}} {
		b.Run(c.name, func(b *testing.B) {
			s := benchServer(b)
			f := newPlainFlow(netip.MustParseAddrPort("127.0.0.1:40000"), http.MethodGet, host.MustParse("cloud.acme.example"), 80, "/index/u1313g.xml", "", "http://cloud.acme.example/index/u1313g.xml?a=b")
			s.judge(f)
			s.refer(f)
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = s.refusals.kept(c.by, f).appendBody(out[:0], f.told(c.by.html), true)
			}
			b.SetBytes(int64(len(out)))
		})
	}
}
