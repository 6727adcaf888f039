package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
)

// question is what explain is asked. Its JSON form is a line of `explain -`.
type question struct {
	URL       string `json:"url"`  // http://, https://
	Host      string `json:"host"` // or HOST[:PORT], which is https
	Client    string `json:"client"`
	User      string `json:"user"`
	MAC       string `json:"mac"`
	At        string `json:"at"`
	AsKnownAt string `json:"as-known-at"`
	SNI       string `json:"sni"` // "-": a hello without one
	Method    string `json:"method"`
	Clock     string `json:"clock"` // "untrusted": as it is while the clock cannot be believed

	Intercepted bool   `json:"intercepted"` // of an https URL the request is seen
	Destination string `json:"destination"` // the address that a client dials who knows of no proxy
}

func newExplain() *cobra.Command {
	var q question
	var asJSON bool
	var failOn string
	cmd := &cobra.Command{
		Use:   "explain URL|HOST[:PORT]|-",
		Short: "Say what would happen to a request, when that changes, and every reason",
		Long: "Say what the policy makes of a request at an instant, when that changes, and every reason with its place and\n" +
			"its source. This is the decision that serve would make. A HOST without a port is https, 443; without --client the\n" +
			"client is one of the default site; without --at it is now. With -, questions are read from standard input, a\n" +
			"JSON object a line, with the keys url or host, client, user, mac, at, as-known-at, sni, method, destination,\n" +
			"clock; an answer is written for each, or {\"error\"}. With --destination the client is one of transparent mode: it\n" +
			"knows of no proxy, has dialled this address at the port of the URL or HOST, and names the host only in its hello or\n" +
			"request.",
		Example: "  gracegate explain s01.upd.kaspersky.com --at 2024-09-28T23:59:59-04:00\n" +
			"  gracegate explain http://dnl-01.geo.kaspersky.com/index/u1313g.xml --client 10.20.1.1 --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return invalid(fmt.Errorf("explain takes one URL or host, not %d", len(args)), "gracegate explain s01.upd.kaspersky.com")
			}
			return nil
		},
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy, config.GroupClients, config.GroupUpstream, config.GroupTransparent)
	f.StringVar(&q.Client, "client", "", "the client's `address`")
	f.StringVar(&q.User, "user", "", "the client's user `name`")
	f.StringVar(&q.MAC, "mac", "", "the `MAC` address of the client's device")
	f.StringVar(&q.At, "at", "", "the `instant`, RFC 3339 with an offset (default now)")
	f.StringVar(&q.AsKnownAt, "as-known-at", "", "leave out what was published after this `instant` (default policy.known-at)")
	f.StringVar(&q.SNI, "sni", "", "the server `name` in the TLS hello, - for none (default the host)")
	f.StringVar(&q.Method, "method", "", "the request's `method` (default GET, or CONNECT for https)")
	f.BoolVar(&q.Intercepted, "intercepted", false, "see the request of an https URL, as in an intercepted connection")
	f.StringVar(&q.Destination, "destination", "", "the `address` that the client dials, in transparent mode")
	f.StringVar(&q.Clock, "clock", "", "decide as if the clock were in this `state`: trusted or untrusted")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&failOn, "fail-on", "", "exit with 3 if the verdict is this `verdict`: block or allow")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if failOn != "" && failOn != "block" && failOn != "allow" {
			return invalid(fmt.Errorf("--fail-on %q is no verdict", failOn), "block or allow")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		x, err := newExplainer(cfg)
		if err != nil {
			return err
		}
		if args[0] == "-" {
			return x.lines(cmd.InOrStdin(), cmd.OutOrStdout(), &q, failOn)
		}
		if strings.Contains(args[0], "://") {
			q.URL = args[0]
		} else {
			q.Host = args[0]
		}
		a, err := x.answer(&q)
		if err != nil {
			return err
		}
		write := a.writeText
		if asJSON {
			write = a.writeJSON
		}
		if err := write(cmd.OutOrStdout()); err != nil {
			return failed(err, "")
		}
		return matched(failOn, a.Verdict)
	}
	return cmd
}

// matched is the error of --fail-on.
func matched(failOn string, v policy.Verdict) error {
	if failOn == v.String() {
		return &codedError{code: exitMatched}
	}
	return nil
}

// maxHorizons is how many policies `explain -` keeps for instants as-known-at: lines that ask for one mostly stand together.
const maxHorizons = 8

// explainer answers questions under one configuration, by the same function that serve calls.
type explainer struct {
	cfg     *config.Config
	law     law
	policy  *policy.Policy
	horizon *lru.Cache[string, *policy.Policy] // by --as-known-at
	guard   guardFunc
	now     time.Time
}

// guardFunc tells which guard of the road would refuse a flow, and why; both are empty if none would.
type guardFunc func(p *policy.Policy, f *policy.Facts) (guard, detail string)

func newExplainer(cfg *config.Config) (*explainer, error) {
	x := &explainer{cfg: cfg, law: law{cfg: cfg}, now: time.Now().Round(0)}
	var err error
	if x.horizon, err = lru.New[string, *policy.Policy](maxHorizons); err != nil {
		return nil, err
	}
	if x.policy, err = x.law.build(nil); err != nil {
		return nil, err
	}
	x.guard, err = newGuards(cfg)
	return x, err
}

// answer is an explanation with the question's facts and what the road's guards add.
type answer struct {
	policy.Explanation
	facts  policy.Facts
	known  policy.Horizon
	policy *policy.Policy // that was asked
	guard  string
	detail string
}

func (x *explainer) answer(q *question) (*answer, error) {
	a := &answer{policy: x.policy}
	var err error
	if a.facts, err = q.facts(); err != nil {
		return nil, err
	}
	at, err := instantOr("at", q.At, x.now)
	if err != nil {
		return nil, err
	}
	a.known = policy.Horizon{Clock: x.cfg.Policy.KnownAt.Clock, At: x.cfg.Policy.KnownAt.At}
	if q.AsKnownAt != "" {
		if a.policy, err = x.knownAt(q.AsKnownAt); err != nil {
			return nil, err
		}
		a.known = policy.Horizon{At: a.policy.KnownAt().At}
	}
	a.Explanation = a.policy.Explain(at, &a.facts)
	if a.guard, a.detail = x.guard(a.policy, &a.facts); a.guard != "" {
		a.Verdict, a.State, a.Need, a.Would = policy.Block, policy.Guarded, policy.NeedNothing, policy.Block
	}
	return a, nil
}

// knownAt returns the policy as it would be if nothing later had been published.
func (x *explainer) knownAt(text string) (*policy.Policy, error) {
	if p, ok := x.horizon.Get(text); ok {
		return p, nil
	}
	p, err := asKnownAt(x.policy, text)
	if err == nil {
		x.horizon.Add(text, p)
	}
	return p, err
}

// asKnownAt is a policy as it would be if nothing later had been published; without an instant, as it is.
func asKnownAt(p *policy.Policy, text string) (*policy.Policy, error) {
	if text == "" {
		return p, nil
	}
	at, err := parseAt("as-known-at", text)
	if err != nil {
		return nil, err
	}
	return p.WithHorizon(policy.Horizon{At: at})
}

// instantOr reads an instant that may be left out.
func instantOr(name, text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	return parseAt(name, text)
}

func parseAt(name, text string) (time.Time, error) {
	at, err := instant.Parse(text)
	if e, ok := errors.AsType[*instant.Error](err); ok {
		hint := e.Hint
		if strings.Contains(hint, "IANA zone") { // which a file can name
			hint = "write RFC 3339 with an offset, such as 2024-09-29T00:00:00-04:00 or 2024-09-29T04:00:00Z"
		}
		return at, invalid(fmt.Errorf("%s %q: %s", name, e.Input, e.Reason), hint)
	}
	return at, err
}

// facts are what the road would see of the request: all of a plain one, and the authority and hello of one by https.
func (q *question) facts() (policy.Facts, error) {
	f := policy.Facts{User: q.User, Method: q.Method, Scheme: "https", Stage: policy.StageHello}
	fill := []func(*policy.Facts) error{q.words, q.place, q.asker, q.hello}
	if q.Intercepted {
		fill = append(fill, q.inside)
	}
	if q.Destination != "" {
		fill = append(fill, q.redirect)
	}
	for _, part := range fill {
		if err := part(&f); err != nil {
			return f, err
		}
	}
	return f, nil
}

// words fills in the state of the clock, and checks what is taken as it stands.
func (q *question) words(f *policy.Facts) error {
	switch q.Clock {
	case "", policy.ClockTrusted.String():
	case policy.ClockUntrusted.String():
		f.Clock = policy.ClockUntrusted
	default:
		return invalid(fmt.Errorf("clock %q is no state of it", q.Clock), "trusted or untrusted")
	}
	if q.Method != "" && !httpguts.ValidHeaderFieldName(q.Method) { // both are tokens
		return invalid(fmt.Errorf("method %q is none", q.Method), "a word such as GET, without blanks")
	}
	if strings.ContainsFunc(q.User, unicode.IsControl) {
		return invalid(fmt.Errorf("user %q has a control character", q.User), "the name of a user, as clients.auth has it")
	}
	return nil
}

// place fills in where the request goes: scheme, authority, port and path.
func (q *question) place(f *policy.Facts) error {
	if (q.URL == "") == (q.Host == "") {
		return invalid(errors.New("a question has a url or a host"), `{"url": "http://..."} or {"host": "..."}`)
	}
	target, defaultPort := q.Host, uint16(443)
	if q.URL != "" {
		scheme, rest, _ := strings.Cut(q.URL, "://")
		switch strings.ToLower(scheme) {
		case "http":
			f.Scheme, f.Stage, defaultPort = "http", policy.StageRequest, 80
		case "https":
		default:
			return invalid(fmt.Errorf("url %q is neither http:// nor https://", q.URL), "the proxy carries http and, by CONNECT, TLS")
		}
		path := "/"
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			rest, path = rest[:i], rest[i:]
		}
		target = rest
		var clean bool
		if f.Path, f.PathAgain, clean = policy.ReadPath(path); !clean {
			return invalid(fmt.Errorf("url %q has a path that cannot be read, or not in one way", q.URL),
				`percent-encode with two hex digits, no control characters, and no ".." beside empty, encoded or parameterised segments`)
		}
	}
	var err error
	if f.Authority, f.Port, err = host.ParseAuthority(target); err != nil {
		return invalid(err, "a host name or address, with :PORT if it is not the usual one")
	}
	if f.Port == 0 {
		f.Port = defaultPort
	}
	return nil
}

// asker fills in the client's addresses.
func (q *question) asker(f *policy.Facts) (err error) {
	if q.Client != "" {
		if f.Client, err = netip.ParseAddr(q.Client); err != nil {
			return invalid(fmt.Errorf("client %q is no address", q.Client), "an IPv4 or IPv6 address; mac names a device, and user a user")
		}
		f.Client = host.ClientAddr(f.Client)
	}
	if q.MAC != "" {
		if f.MAC, err = host.ParseMAC(q.MAC); err != nil {
			return invalid(err, "write 00:16:3e:aa:bb:cc")
		}
	}
	return nil
}

// inside fills in what is seen of a request by https that is intercepted.
func (q *question) inside(f *policy.Facts) error {
	if f.Scheme != "https" || q.URL == "" {
		return invalid(errors.New("only a request by https is intercepted, and a url tells which"), "url: https://HOST/PATH")
	}
	f.Stage, f.Inner = policy.StageRequest, f.Authority
	if q.Method == "" {
		f.Method = "GET"
	}
	return nil
}

// redirect makes the facts those of a client in transparent mode.
func (q *question) redirect(f *policy.Facts) error {
	addr, err := netip.ParseAddr(q.Destination)
	if err != nil || addr.Zone() != "" {
		return invalid(fmt.Errorf("destination %q is no address", q.Destination), "an IPv4 or IPv6 address; its port is that of the url or host")
	}
	f.Transparent, f.Authority = true, host.FromAddr(addr.Unmap())
	if f.Stage != policy.StageRequest {
		f.Method = q.Method // there is no CONNECT
	}
	return nil
}

// named is the host as the client named it.
func named(f *policy.Facts) host.Name {
	switch {
	case f.Transparent && !f.Inner.IsZero():
		return f.Inner
	case f.Transparent && !f.SNI.IsZero():
		return f.SNI
	}
	return f.Authority
}

// hello fills in what a client of the question's kind would tell.
func (q *question) hello(f *policy.Facts) error {
	if f.Scheme == "http" {
		f.Inner = f.Authority
		if f.Method == "" {
			f.Method = "GET"
		}
		if q.SNI != "" {
			return invalid(errors.New("a plain http request has no SNI"), "leave out sni")
		}
		return nil
	}
	if f.Method == "" {
		f.Method = "CONNECT"
	}
	switch {
	case q.SNI == "-" || q.SNI == "" && f.Authority.IsAddr():
		f.Hello = policy.HelloNoName
	case q.SNI == "":
		f.Hello, f.SNI = policy.HelloWithName, f.Authority
	default:
		name, err := host.Parse(q.SNI)
		if err != nil {
			return invalid(fmt.Errorf("sni: %w", err), "a host name, or - for none")
		}
		f.Hello, f.SNI = policy.HelloWithName, name
	}
	return nil
}
