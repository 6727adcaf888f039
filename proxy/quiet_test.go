package proxy

import (
	"errors"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// quietly is a quiet, and what it writes.
func quietly() (*quiet, listened) {
	core, logs := observer.New(zapcore.DebugLevel)
	q := newQuiet(zap.New(core))
	return q, listened{q.storms, logs}
}

// askedFor is a flow of a client, decided.
func (r *rig) askedFor(name string) *flow {
	r.t.Helper()
	to, err := host.Parse(name)
	if err != nil {
		r.t.Fatal(err)
	}
	client := netip.MustParseAddrPort("10.0.0.1:40000")
	f := &flow{client: client, facts: policy.Facts{
		Client: client.Addr(), Stage: policy.StageAuthority, Method: http.MethodConnect, Scheme: "https", Authority: to, Port: 443,
	}}
	r.judge(f)
	f.status = http.StatusUnavailableForLegalReasons
	return f
}

// An updater that walks all its mirrors after a refusal is one line, and one more each minute.
func TestARetryStormIsFolded(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{settings: "default: block"})
	r.clock.set(deadline.Add(time.Hour))
	synctest.Test(t, func(t *testing.T) {
		q, l := quietly()
		for _, name := range []string{
			"a.upd.acme.example", "b.upd.acme.example", "c.upd.acme.example", "cloud.acme.example", "games.example", "x.example", "y.example",
		} {
			q.refused(r.askedFor(name))
			time.Sleep(5 * time.Second)
		}
		wantLines(t, l.lines(),
			"refused client=10.0.0.1 host=a.upd.acme.example:443 id=test-2024-001 kind=restriction method=CONNECT state=blocked status=451 vendor=acme",
			"refused client=10.0.0.1 host=games.example:443 id=no-games kind=rule method=CONNECT state=rule-blocked status=451 vendor=",
			"refused client=10.0.0.1 host=x.example:443 id=default kind=default method=CONNECT state=unmatched status=451 vendor=")
		time.Sleep(25 * time.Second)
		synctest.Wait()
		wantLines(t, l.lines(), "refused client=10.0.0.1 folded=3 host=cloud.acme.example:443 id=test-2024-001")
		q.close()
		wantLines(t, l.lines(), "refused client=10.0.0.1 folded=1 host=y.example:443 id=default")
	})
}

func TestWhatTheRoadRefusesIsFolded(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	clients, err := NewClients([]string{"loopback"})
	if err != nil {
		t.Fatal(err)
	}
	other := netip.MustParseAddr("2001:db8::1")
	emfile := &os.SyscallError{Syscall: "accept4", Err: syscall.EMFILE}
	synctest.Test(t, func(t *testing.T) {
		q, l := quietly()
		for range 3 {
			q.destination(r.askedFor("a.example"), "port", "port 25 is not opened for this proxy")
			q.stranger(other, clients)
			q.fault(other, badRequest("bare-lf", "a line ends without CR"))
			q.limited(limitRate, occasion{client: other})
			q.notTaken(emfile)
			q.notTaken(syscall.ECONNABORTED)
			q.notTaken(errors.New("of another kind"))
		}
		first := l.logs.All()
		wantLines(t, l.lines(),
			"destination refused client=10.0.0.1 detail=port 25 is not opened for this proxy guard=port host=a.example:443",
			"client refused client=2001:db8::1 hint=to admit it: clients.allow: [loopback, \"2001:db8::1/128\"]",
			"request not understood client=2001:db8::1 code=bare-lf detail=a line ends without CR status=400",
			"limit met client=2001:db8::1 detail=this client sends more requests a second than it may send (limits.rate) limit=rate",
			"limit met detail=this gateway has run out of file descriptors hint=let this process open more (LimitNOFILE=, ulimit -n), or lower limits.connections limit=descriptors",
			"cannot take connections error=software caused connection abort",
			"cannot take connections error=other")
		for i, want := range []zapcore.Level{zap.WarnLevel, zap.WarnLevel, zap.InfoLevel, zap.WarnLevel, zap.WarnLevel, zap.ErrorLevel, zap.ErrorLevel} {
			if first[i].Level != want {
				t.Errorf("%q is of level %s", first[i].Message, first[i].Level)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		wantLines(t, l.lines(),
			"limit met client=2001:db8::1 folded=2 limit=rate",
			"limit met folded=2 limit=descriptors",
			"cannot take connections error=software caused connection abort folded=2",
			"cannot take connections error=other folded=2")
		time.Sleep(time.Minute)
		synctest.Wait()
		wantLines(t, l.lines(),
			"destination refused client=10.0.0.1 folded=2 guard=port host=a.example:443",
			"client refused client=2001:db8::1 folded=2",
			"request not understood client=2001:db8::1 code=bare-lf folded=2")
		q.close()
		wantLines(t, l.lines())
	})
}

func TestALineThatIsFoldedTakesNoMemory(t *testing.T) {
	r := newRig(t, rigSetup{})
	q, _ := quietly()
	defer q.close()
	f := r.askedFor("cloud.acme.example")
	q.refused(f)
	if n := testing.AllocsPerRun(1000, func() { q.refused(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
