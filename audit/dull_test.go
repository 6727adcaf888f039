package audit

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// dullLine is the line as zap's JSON encoder writes it, from one field after the other: slow, and plainly right.
func dullLine(r *Record, always ...zap.Field) (string, error) {
	f := make(fields, 0, 64)
	f.add(zap.String("ecs.version", ecsVersion))
	f.event(r)
	f.client(r)
	f.destination(r)
	f.request(r)
	f.tls(r)
	f.decision(r)
	f.transfer(r)
	var out bytes.Buffer
	core := zapcore.NewCore(zapcore.NewJSONEncoder(EncoderConfig()), zapcore.AddSync(&out), zapcore.ErrorLevel).With(always)
	err := core.Write(zapcore.Entry{Level: zapcore.InfoLevel, Time: r.Time, Message: message(r)}, f)
	return out.String(), err
}

func (f *fields) event(r *Record) {
	category := []string{"network"}
	if r.Kind != "tunnel" {
		category = append(category, "web")
	}
	kinds := []string{"connection"}
	switch r.Event {
	case Start:
		kinds = append(kinds, "start")
	case End:
		kinds = append(kinds, "end")
	case Refused, ClockTurn:
	}
	// The outcome is the gate's: whether the flow was let through, not how well it then went.
	outcome := "success"
	if denied(r) {
		kinds, outcome = append(kinds, "denied"), "failure"
	} else {
		kinds = append(kinds, "allowed")
	}
	f.add(zap.String("event.dataset", "gracegate.flow"))
	f.add(zap.String("event.kind", "event"))
	if r.Numbered {
		f.add(zap.Uint64("event.sequence", r.Sequence))
	}
	f.text("event.id", r.Reference)
	f.add(zap.Strings("event.category", category))
	f.add(zap.Strings("event.type", kinds))
	f.add(zap.String("event.action", r.Event.String()))
	f.add(zap.String("event.outcome", outcome))
	f.number("event.duration", r.Duration.Nanoseconds())
	f.text("gracegate.kind", r.Kind)
	f.text("gracegate.ended", r.Ended)
	f.number("gracegate.lost_before", int64(r.Lost))
}

func (f *fields) client(r *Record) {
	if r.Client.IsValid() {
		ip := r.Client.Addr().String()
		f.text("source.ip", ip)
		f.number("source.port", int64(r.Client.Port()))
		f.text("client.ip", ip)
	}
	f.text("source.mac", strings.ToUpper(strings.ReplaceAll(r.MAC, ":", "-"))) // as ECS has it: RFC 7042
	f.text("source.domain", r.Hostname)
	f.text("user.name", r.User)
	f.text("gracegate.site", r.Site)
	f.list("gracegate.persons", r.Persons)
}

func (f *fields) destination(r *Record) {
	f.text("destination.address", r.Host.String())
	if !r.Host.IsAddr() {
		f.text("destination.domain", r.Host.String())
	}
	f.number("destination.port", int64(r.Port))
	if r.Original.IsValid() {
		f.text("gracegate.original_ip", r.Original.String())
	}
	if r.Upstream.IsValid() {
		f.text("destination.ip", r.Upstream.Addr().String())
		if r.Upstream.Port() != r.Port { // the operator maps the name to another port
			f.number("gracegate.upstream_port", int64(r.Upstream.Port()))
		}
	}
}

func (f *fields) request(r *Record) {
	f.text("http.request.method", r.Method)
	url, hadQuery := withoutSecrets(r.URL)
	f.text("url.full", url)
	f.flag("gracegate.query_dropped", hadQuery)
	f.text("url.scheme", r.Scheme)
	if r.URL != "" {
		f.text("url.domain", r.Host.String())
	}
	f.text("url.path", r.Path)
	f.number("http.response.status_code", int64(r.Status))
}

func (f *fields) tls(r *Record) {
	f.text("tls.client.server_name", r.SNI.String())
	f.text("gracegate.hello", r.Hello.String())
	f.flag("gracegate.ech", r.ECH)
	f.text("gracegate.alpn", r.ALPN)
}

func (f *fields) decision(r *Record) {
	verdict, state, category, id := r.Verdict, r.State, r.Cause.Kind, r.Cause.ID
	if r.Guard != "" { // a guard comes before the policy, whatever that would have said
		verdict, state, category, id = policy.Block, policy.Guarded, "guard", r.Guard
	}
	f.instant("gracegate.policy_time", r.PolicyTime)
	f.text("gracegate.clock_state", r.Clock.String())
	f.text("gracegate.verdict", verdict.String())
	f.text("gracegate.state", state.String())
	f.text("gracegate.need", r.Need.String())
	f.text("gracegate.would", r.Would.String())
	f.text("gracegate.guard", r.Guard)
	f.text("gracegate.vendor", r.Vendor)
	channels := make([]string, len(r.Channels))
	for i, c := range r.Channels {
		channels[i] = c.String()
	}
	f.list("gracegate.channels", channels)
	f.text("rule.category", category)
	f.text("rule.id", id)
	if r.Guard == "" {
		f.text("rule.name", r.Cause.Title)
		f.text("rule.reference", r.Cause.URL)
		f.flag("gracegate.floor", r.Cause.Floor)
	}
	f.list("gracegate.reasons", r.Reasons)
	if category == "restriction" {
		f.text("gracegate.mode", r.Cause.Mode.String())
	}
	f.instant("gracegate.next_change", r.NextChange)
	f.instant("gracegate.next_block", r.NextBlock)
	f.text("gracegate.revision", r.Revision)
}

func (f *fields) transfer(r *Record) {
	if r.Event != End && r.BytesIn == 0 && r.BytesOut == 0 {
		return // not counted, where a zero at the end is a count
	}
	f.add(zap.Int64("source.bytes", r.BytesIn))
	f.add(zap.Int64("destination.bytes", r.BytesOut))
	f.add(zap.Int64("network.bytes", r.BytesIn+r.BytesOut))
}

func (f *fields) instant(key string, t time.Time) {
	if !t.IsZero() {
		f.add(zap.String(key, t.UTC().Format(time.RFC3339Nano)))
	}
}

// text is written as JSON without the short cut for what is plain.
type text string

func (t text) MarshalJSON() ([]byte, error) {
	return append(appendEscaped([]byte{'"'}, string(t)), '"'), nil
}

// fields is a line in the making. Its methods leave out what is absent.
type fields []zap.Field

func (f *fields) add(field zap.Field) { *f = append(*f, field) }

func (f *fields) text(key, s string) {
	if s != "" {
		f.add(zap.Reflect(key, text(s)))
	}
}

func (f *fields) list(key string, list []string) {
	if len(list) > 0 {
		f.add(zap.Array(key, texts(list)))
	}
}

func (f *fields) number(key string, n int64) {
	if n != 0 {
		f.add(zap.Int64(key, n))
	}
}

func (f *fields) flag(key string, set bool) {
	if set {
		f.add(zap.Bool(key, true))
	}
}

// texts is a list of which at most maxList are written, and then a mark.
type texts []string

// MarshalLogArray writes the list for zap.
func (l texts) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	for i, s := range l {
		if i == maxList {
			enc.AppendString(strings.TrimSpace(cutMark))
			break
		}
		if err := enc.AppendReflected(text(s)); err != nil {
			return err
		}
	}
	return nil
}

var dullTexts = []string{
	"", "", "a", "s01.upd.kaspersky.com", "http://me:s3cret@example.com/a?b", "GET", "restriction", "tunnel", "plain", "complete",
	"\x00\n\r\u2028\u202e\xff", `"},{"`, "\\", "ü😀", "a very long text " + strings.Repeat("b", 40), "00:16:3e:aa:bb:cc",
	strings.Repeat("\xff", 3000), strings.Repeat("😀", 3000), strings.Repeat(`"`, 3000), strings.Repeat("x", maxText), strings.Repeat("x", maxText+1),
}

// randomRecord is made of what most often goes wrong: absent values, long and odd texts, instants near the ends of time.
func randomRecord(rnd *rand.Rand, more ...string) *Record {
	texts := append(more, dullTexts...)
	text := func() string { return texts[rnd.IntN(len(texts))] }
	list := func() []string {
		all := make([]string, rnd.IntN(3)*rnd.IntN(maxList))
		for i := range all {
			all[i] = text()
		}
		return all
	}
	name := func() (n host.Name) { n, _ = host.Parse(text()); return n }
	instant := func() time.Time {
		if rnd.IntN(4) == 0 {
			return time.Time{}
		}
		t := time.Unix(rnd.Int64N(1<<38)-1<<37, rnd.Int64N(1e9)).In(time.FixedZone("", rnd.IntN(86400)-43200))
		return t.Truncate([]time.Duration{1, time.Millisecond, time.Second, time.Hour}[rnd.IntN(4)])
	}
	addr := func() netip.AddrPort {
		all := []string{"", "10.10.3.4:51200", "[2001:db8::5]:40000", "[::ffff:10.0.0.1]:80", "[fe80::1%eth\"0]:443", "127.0.0.1:0"}
		a, _ := netip.ParseAddrPort(all[rnd.IntN(len(all))])
		return a
	}
	number := func() int64 { return rnd.Int64() >> rnd.IntN(64) * int64(rnd.IntN(3)-1) }
	channels := make([]policy.Channel, rnd.IntN(2)*rnd.IntN(20))
	for i := range channels {
		channels[i] = policy.Channel(rnd.IntN(20))
	}
	r := &Record{
		Sequence: uint64(rnd.Int64()), Numbered: rnd.IntN(2) == 0, Lost: uint64(rnd.IntN(2)), Reasons: list(), Clock: policy.ClockState(rnd.IntN(3)),
		Time: instant(), PolicyTime: instant(), Event: Event(rnd.IntN(4)), Reference: text(), Kind: text(), Client: addr(), User: text(), MAC: text(), Hostname: text(),
		Site: text(), Persons: list(), Method: text(), Scheme: text(), Host: name(), Port: uint16(number()), URL: text(), Path: text(),
		SNI: name(), Hello: policy.Hello(rnd.IntN(6)), ECH: rnd.IntN(2) == 0, ALPN: text(), Vendor: text(), Channels: channels,
		Verdict: policy.Verdict(rnd.IntN(3)), State: policy.State(rnd.IntN(23)), Need: policy.Need(rnd.IntN(4)), Would: policy.Verdict(rnd.IntN(3)),
		Cause:    policy.Cause{Kind: text(), ID: text(), Title: text(), URL: text(), Mode: policy.Mode(rnd.IntN(4)), Floor: rnd.IntN(2) == 0},
		Revision: text(), NextChange: instant(), NextBlock: instant(), Guard: text(), Original: addr().Addr().Unmap().WithZone(""), Upstream: addr(), Status: int(number()),
		BytesIn: number(), BytesOut: number(), Duration: time.Duration(number()), Ended: text(),
	}
	if r.Host.IsZero() && r.SNI.IsZero() && r.Upstream.Addr().Zone() != "" {
		r.Upstream = netip.AddrPort{} // zap writes an odd zone in the message in a way of its own
	}
	return r
}

// FuzzLineAgainstDull compares both ways of writing a record, byte by byte, and what a reader gets with what was given.
func FuzzLineAgainstDull(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed, "", "")
	}
	fields := []zap.Field{zap.Bool("gracegate.simulated_clock", true), zap.String("a", "b")}
	encoders := []Encoder{NewEncoder(), NewEncoder(fields[0]), NewEncoder(fields...)}
	f.Fuzz(func(t *testing.T, seed uint64, some, other string) {
		r := randomRecord(rand.New(rand.NewPCG(seed, 1)), some, other)
		always, e := fields[:seed%3], encoders[seed%3]
		want, err := dullLine(r, always...)
		if err != nil {
			t.Fatal(err)
		}
		got := string(e.Append(nil, r))
		if got != want {
			t.Fatalf("the line is\n%swant\n%s", got, want)
		}
		if again := string(e.Append(nil, r)); again != want {
			t.Fatalf("then the line is\n%swant\n%s", again, want)
		}
		checkLine(t, r, got)

		var read map[string]any
		if err := json.Unmarshal([]byte(got), &read); err != nil {
			t.Fatal(err)
		}
		for key, given := range map[string]string{
			"user.name": r.User, "gracegate.site": r.Site, "http.request.method": r.Method, "url.path": r.Path, "gracegate.ended": r.Ended,
			"gracegate.alpn": r.ALPN, "gracegate.vendor": r.Vendor, "gracegate.revision": r.Revision, "gracegate.guard": r.Guard,
		} {
			if s, _ := read[key].(string); s != given && shown(given) {
				t.Errorf("%s is %q, want %q", key, s, given)
			}
		}
	})
}

// shown tells whether a reader gets a text back as it was.
func shown(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) && len(s)*6 <= maxText
}
