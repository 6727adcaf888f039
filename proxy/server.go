package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// Policies holds the policy in force. Current is asked once for each decision and is never nil while the server runs.
type Policies interface{ Current() *policy.Policy }

// Recorder takes the record of a flow. Record returns once that of a refusal is written, or for a second at most, and does not
// block for any other; Failing tells that records are being lost.
type Recorder interface {
	Record(*audit.Record)
	Failing() bool
}

// Instant is what the policy clock shows, and whether it can be believed.
type Instant struct {
	At    time.Time
	State policy.ClockState
	Turn  uint64 // as long as it is the same, State is too, and At has not gone back
}

// Observer counts. Labels are words from small fixed sets, never a host or a client.
type Observer interface {
	Decided(d *policy.Decision, c policy.Cause, took time.Duration) // once a flow, by its last decision
	Guarded(guard string)
	FlowOpened(kind string)
	FlowClosed(kind, reason string)
	DialFailed(reason string)
	Limited(limit string) // one of the words of limits
}

// Devices knows which devices the clients are. Lookup is asked for the first request of a connection, and now and then besides. It
// tells the MAC address as [policy.Facts] has it, and the name, each empty where it is not known, and answers at once.
type Devices interface {
	Lookup(client netip.Addr) (mac, hostname string)
}

// Config is what a Server needs. Every field without a remark is required.
type Config struct {
	Policies Policies
	Clock    func() Instant // the policy clock; real time is read directly
	Recorder Recorder
	Observer Observer
	Dialer   *Dialer
	Clients  *Clients
	Devices  Devices                // nil: none is known
	Auth     Authenticator          // of users; nil: nobody is asked to log in
	Ports    func(port uint16) bool // ports opened beside 80, 443 and those of the catalogue
	Local    http.Handler           // answers origin-form requests of admitted clients, such as /proxy.pac
	Log      *zap.Logger

	Head       int           // bytes of a request head
	Headers    int           // fields of a request head
	Hello      time.Duration // from the first byte of a request head or ClientHello to its end
	Idle       time.Duration // without a byte in either direction
	Lifetime   time.Duration // of a tunnel; 0: no limit
	Limits     AdmissionLimits
	RetryAfter time.Duration // told to refused clients; 0: not told
	Operator   Operator
	Page       *Page // the template of refusals; nil: the built-in one
	Ungoverned bool  // record ungoverned flows too

	Balancers []netip.Prefix // load balancers, which must tell their clients by the PROXY protocol
	Resolve   bool           // a transparent connection goes to the host that is named in it, not to the address that the client dialled

	Issuer Issuer         // makes the certificates of intercepted connections; nil: nothing is intercepted
	Roots  *x509.CertPool // that certificates of intercepted origins must chain to; nil: the system's
}

// Operator is whom a refused person can ask. Any field may be empty.
type Operator struct{ Name, Contact, URL string }

// Server is the proxy.
type Server struct {
	cfg     Config
	gate    gate
	http    *http.Server
	road    *originTripper
	plain   http.Handler
	flows   *flows
	origins origins
	laneTLS *tls.Config // for those behind TLS; names no server
	front   *front

	inner    *http.Server  // for the requests inside of intercepted connections
	innerTLS *tls.Config   // nil: nothing is intercepted
	insides  chan net.Conn // to inner

	insideOpen sync.WaitGroup // connections that inner has

	admission *admission
	door      *door
	quiet     *quiet

	transparent transparent

	begin    sync.Once
	running  context.Context //nolint:containedctx // the life of what start runs
	unwatch  context.CancelFunc
	beside   sync.WaitGroup // what start runs
	refusals *refusals
	reasons  *reasons
}

// New makes a server. It starts no goroutine before Serve.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg}
	s.flows = newFlows(s.userStays)
	s.admission, s.quiet = newAdmission(cfg.Limits), newQuiet(cfg.Log)
	s.running, s.unwatch = context.WithCancel(context.Background())
	s.transparent = transparent{resolve: cfg.Resolve, original: originalDestination, own: cfg.Dialer.own, silence: silentFor}
	s.gate = gate{policies: cfg.Policies, clock: cfg.Clock, recorder: cfg.Recorder}
	s.road = newOriginTripper(s)
	s.laneTLS = originTLS(cfg.Roots)
	s.laneTLS.NextProtos = []string{"http/1.1"}
	s.plain = newForwarder(s.road, cfg.Log)
	s.reasons = newReasons()
	s.refusals = newRefusals(cfg.RetryAfter, cfg.Operator, cfg.Page)
	s.door = newDoor(s.refusals)
	s.front = newFront(s)
	s.insides = make(chan net.Conn)
	s.inner = s.newInner()
	if cfg.Issuer != nil {
		s.innerTLS = cfg.Issuer.ServerConfig("h2", "http/1.1")
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{ //nolint:gosec // the front has a deadline for heads
		Handler: s,
		// The front has its own limits and deadlines, and answers what breaks them; net/http's are wider.
		MaxHeaderBytes:               2*cfg.Head + 4096,
		DisableGeneralOptionsHandler: true,
		Protocols:                    protocols,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ErrorLog: errorLog(cfg.Log.Named("http")),
	}
	return s
}

// errorLog takes what net/http complains of, panics above all.
func errorLog(l *zap.Logger) *log.Logger {
	std, err := zap.NewStdLogAt(l, zap.WarnLevel)
	if err != nil { // a level that zap does not know
		return zap.NewStdLog(l)
	}
	return std
}

var errNotTCP = errors.New("the proxy listens on TCP only")

// Serve accepts clients on l, which must be a TCP listener, until Shutdown. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return errNotTCP
	}
	return s.accept(tcp, s.front.take, func(c *net.TCPConn) { s.door.turnAway(c, limitDescriptors) })
}

// accept has connections taken, and refused where descriptors have run out.
func (s *Server) accept(l *net.TCPListener, take, refuse func(*net.TCPConn)) error {
	s.begin.Do(s.start)
	inheritKeepAlive(l)
	return s.front.accept(s.running, l, newAcceptor(l, take, refuse, s.notTaken))
}

// notTaken counts and logs that a client could not be accepted.
func (s *Server) notTaken(err error) {
	if descriptorsExhausted(err) {
		s.cfg.Observer.Limited(string(limitDescriptors))
		s.closeIdle()
	}
	s.quiet.notTaken(err)
}

// dial connects to a host. When descriptors have run out, those of idle connections are given up for it.
func (s *Server) dial(ctx context.Context, name host.Name, port uint16) (*net.TCPConn, error) {
	return s.againWithRoom(func() (*net.TCPConn, error) { return s.cfg.Dialer.Dial(ctx, name, port) })
}

// againWithRoom dials once more, with the descriptors of idle connections, if there were none left.
func (s *Server) againWithRoom(dial func() (*net.TCPConn, error)) (*net.TCPConn, error) {
	c, err := dial()
	if err != nil && descriptorsExhausted(err) {
		s.closeIdle()
		return dial()
	}
	return c, err
}

// closeIdle closes the connections to origins that wait for another request.
func (s *Server) closeIdle() {
	s.origins.closeIdle()
	s.road.closeIdle()
}

// meets counts and logs that somebody met a limit.
func (s *Server) meets(l limitName, o occasion) {
	s.cfg.Observer.Limited(string(l))
	s.quiet.limited(l, o)
}

// start runs what goes on beside the listeners.
func (s *Server) start() {
	s.beside.Go(func() { s.watch(s.running) })
	s.beside.Go(func() { _ = s.http.Serve(frontListener{s.front}) }) // until the front is closed
	s.beside.Go(func() { _ = s.inner.Serve(innerListener{s}) })
}

// Shutdown stops accepting, waits for exchanges and tunnels until ctx ends, and then cuts what is left, so that no client
// takes a cut transfer for a whole one. What the policy cuts is cut meanwhile, too.
func (s *Server) Shutdown(ctx context.Context) error {
	s.begin.Do(func() {}) // whoever has not begun does not begin any more
	s.front.close()
	err := s.http.Shutdown(ctx)
	if innerErr := s.inner.Shutdown(ctx); err == nil {
		err = innerErr
	}
	if waitErr := s.front.wait(ctx); err == nil {
		err = waitErr
	}
	if waitErr := s.flows.drain(ctx); err == nil {
		err = waitErr
	}
	if err != nil {
		s.flows.cutAll("drain")
		s.front.abort()
		_ = s.http.Close()
		_ = s.inner.Close()
		_ = s.front.wait(context.WithoutCancel(ctx))
		_ = s.flows.drain(context.WithoutCancel(ctx))
	}
	s.unwatch()
	s.beside.Wait()
	s.insideOpen.Wait() // net/http leaves HTTP/2 a second to say goodbye
	s.door.wait()
	s.origins.close()
	s.road.closeIdle()
	s.quiet.close()
	return err
}

// ServeHTTP takes one request that the front let through.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, zoned := clientOf(r)
	if !frontOfRequest(r).seat.request(time.Now()) {
		s.meets(limitRate, occasion{client: client.Addr()})
		s.refusals.limited(w, askerOf(r), limitRate)
		return
	}
	if fault, ok := FaultOf(r); ok {
		s.fault(w, r, fault)
		return
	}
	if !s.cfg.Clients.Allowed(zoned) {
		s.quiet.stranger(client.Addr(), s.cfg.Clients)
		s.cfg.Observer.Guarded("client")
		s.refusals.guard(w, askerOf(r), "client", "this address may not use this proxy")
		return
	}
	switch dest := frontOfRequest(r).dest; {
	case !dest.name.IsZero():
		s.forwardTransparent(w, r, client, dest)
	case r.Method == http.MethodConnect:
		s.connect(w, r, client)
	case r.URL.IsAbs():
		s.forward(w, r, client)
	default:
		s.cfg.Local.ServeHTTP(w, r)
	}
}

// fault logs and answers a request that is not understood, or could be understood in two ways.
func (s *Server) fault(w http.ResponseWriter, r *http.Request, fault *Fault) {
	s.noteFault(r, fault)
	s.refusals.fault(w, askerOf(r), fault)
}

func (s *Server) noteFault(r *http.Request, fault *Fault) {
	client, _ := clientOf(r)
	s.quiet.fault(client.Addr(), fault)
}

// connKey is the context key of the client's connection, a *frontConn.
type connKey struct{}
