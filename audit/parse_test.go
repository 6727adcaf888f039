package audit

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// hostile are texts that a line cannot hold as they are.
var hostile = []string{
	"", "\x00", "\x1b[31m", "a\nb", "\u2028\u2029", "\u202etxt", "\xff\xfe", "\xc3", "\ufffd", `"},{"a":"`, `\x0a`, `\`, "\u00a0", "\U000e0041", "ü😀", "\x7f",
	strings.Repeat("x", maxText), strings.Repeat("x", maxText+1), strings.Repeat("\n", maxText), strings.Repeat("😀\xff", maxText), strings.Repeat("a", 64<<10),
}

// counted is a record as the gate makes them, with every enum in its bounds, and texts as a stranger chooses them.
func counted(rnd *rand.Rand, more ...string) *Record {
	r := randomRecord(rnd, append(more, hostile...)...)
	r.Event, r.Hello, r.Verdict = Event(rnd.IntN(3)), policy.Hello(rnd.IntN(5)), policy.Verdict(rnd.IntN(2))
	r.State, r.Channels = policy.State(rnd.IntN(21)), policy.ChannelSet(rnd.Uint32()&uint32(policy.AllChannels)).List()
	r.Time, r.PolicyTime = realTime, time.Unix(rnd.Int64N(1<<36)-1<<35, rnd.Int64N(1e9)).In(time.FixedZone("", rnd.IntN(86400)-43200))
	r.BytesIn, r.BytesOut = max(r.BytesIn, 0)>>1, max(r.BytesOut, 0)>>1
	return r
}

// sums is what a tally of its own makes of a record.
func sums(r *Record) []Seen {
	t := NewTally(1)
	t.Add(r)
	return t.Take()
}

// What is read back counts as what was written: that is how an index is made again.
func FuzzParseWhatIsWritten(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed, "", "")
	}
	f.Fuzz(func(t *testing.T, seed uint64, some, other string) {
		r := counted(rand.New(rand.NewPCG(seed, 2)), some, other)
		r.Sequence, r.Numbered = 1<<62, true
		line := Encoder{}.Append(nil, r)
		got, sequence, err := Parse(line)
		if err != nil || sequence != 1<<62 {
			t.Fatalf("%v, number %d, of %s", err, sequence, line)
		}
		if KeyOf(&got) != KeyOf(r) {
			t.Errorf("the key is\n%+v, was\n%+v", KeyOf(&got), KeyOf(r))
		}
		if got.Event != r.Event || !got.Time.Equal(r.Time) {
			t.Errorf("%s at %s, was %s at %s", got.Event, got.Time, r.Event, r.Time)
		}
		if diff := cmp.Diff(sums(r), sums(&got), comparers...); diff != "" {
			t.Errorf("counts (-record +line):\n%s", diff)
		}
	})
}

var comparers = []cmp.Option{cmpopts.EquateComparable(host.Name{}, netip.Addr{})}

func FuzzParse(f *testing.F) {
	for _, r := range goldenRecords() {
		f.Add(Encoder{}.Append(nil, r))
	}
	for _, s := range []string{"", "{", "null", "[]", "{}", strings.Repeat("[", 1<<16), `{"a":` + strings.Repeat("[", 20000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, line []byte) {
		r, _, err := Parse(line)
		if err != nil {
			return
		}
		tally := NewTally(1)
		tally.Add(&r)
		tally.Take()
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	const good = `{"event.dataset":"gracegate.flow","event.action":"end","gracegate.verdict":"allow","gracegate.state":"open"`
	tests := []struct{ name, line, wrong string }{
		{"the least", good + `}`, ""},
		{"more than is known", good + `,"new":{"a":[1]},"gracegate.new":7}`, ""},
		{"a zone", good + `,"source.ip":"fe80::1%x\"y"}`, ""},
		{"no JSON", `opened example.org`, "no line of a record"},
		{"two lines", good + "}\n" + good + "}", "no line of a record"},
		{"cut off", good, "no line of a record"},
		{"null", `null`, `event.dataset is ""`},
		{"another line of the log", `{"message":"listening"}`, `event.dataset is ""`},
		{"no verdict", strings.Replace(good, "verdict", "v", 1) + `}`, `gracegate.verdict is ""`},
		{"state of tomorrow", strings.Replace(good, `"open"`, `"ajar"`, 1) + `}`, `gracegate.state is "ajar", which no record of this version has`},
		{"event", strings.Replace(good, `"end"`, `"middle"`, 1) + `}`, `event.action is "middle"`},
		{"hello", good + `,"gracegate.hello":"hi"}`, `gracegate.hello is "hi"`},
		{"channel", good + `,"gracegate.channels":["signatures","[cut]"]}`, `gracegate.channels is "[cut]"`},
		{"client", good + `,"source.ip":"10.0.0.256"}`, `source.ip is "10.0.0.256"`},
		{"host", good + `,"destination.address":"a b"}`, `destination.address: host "a b"`},
		{"server name", good + `,"tls.client.server_name":"a..b"}`, `tls.client.server_name: host "a..b"`},
		{"port", good + `,"destination.port":65536}`, "no line of a record"},
		{"instant", good + `,"gracegate.policy_time":"2024-09-29"}`, "no line of a record"},
		{"bytes", good + `,"source.bytes":-1}`, "negative bytes: -1 in, 0 out"},
		{"number", good + `,"event.sequence":-1}`, "no line of a record"},
		{"long", good + `,"a":"` + strings.Repeat("a", maxLine) + `"}`, "a record has at most 262144"},
	}
	for _, tt := range tests {
		_, sequence, err := Parse([]byte(tt.line))
		switch {
		case sequence != 0:
			t.Errorf("%s: number %d", tt.name, sequence)
		case tt.wrong == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong) || len(err.Error()) > 500):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.wrong)
		}
	}
}

// Every line that is known by its golden file can be counted.
func TestParseGolden(t *testing.T) {
	t.Parallel()
	for _, r := range goldenRecords() {
		got, _, err := Parse([]byte(write(t, r)))
		if err != nil || KeyOf(&got) != KeyOf(r) {
			t.Errorf("%v\n%+v, was\n%+v", err, KeyOf(&got), KeyOf(r))
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for name, r := range benchRecords() {
		b.Run(name, func(b *testing.B) {
			line := Encoder{}.Append(nil, r)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Parse(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
