package audit

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// maxLine is the length of a line that is read, twice what one can have.
const maxLine = 2 * MaxLine

// writtenLine are the members of a line that counting needs.
type writtenLine struct {
	Time     time.Time `json:"@timestamp"`
	Sequence uint64    `json:"event.sequence"`
	Dataset  string    `json:"event.dataset"`
	Action   string    `json:"event.action"`
	Kind     string    `json:"gracegate.kind"`
	Ended    string    `json:"gracegate.ended"`

	Address    string `json:"source.ip"`
	SourcePort uint16 `json:"source.port"`
	MAC        string `json:"source.mac"`
	Hostname   string `json:"source.domain"`
	User       string `json:"user.name"`
	Site       string `json:"gracegate.site"`

	Host   string `json:"destination.address"`
	Port   uint16 `json:"destination.port"`
	Method string `json:"http.request.method"`
	Scheme string `json:"url.scheme"`
	Path   string `json:"url.path"`
	SNI    string `json:"tls.client.server_name"`
	Hello  string `json:"gracegate.hello"`
	ECH    bool   `json:"gracegate.ech"`

	PolicyTime time.Time `json:"gracegate.policy_time"`
	Verdict    string    `json:"gracegate.verdict"`
	State      string    `json:"gracegate.state"`
	Guard      string    `json:"gracegate.guard"`
	Vendor     string    `json:"gracegate.vendor"`
	Channels   []string  `json:"gracegate.channels"`
	Category   string    `json:"rule.category"`
	ID         string    `json:"rule.id"`

	BytesIn  int64 `json:"source.bytes"`
	BytesOut int64 `json:"destination.bytes"`
}

// Parse reads back from the line of a record what [Tally.Add] needs of it, and the number of the record, 0 where the line has
// none. Texts are as they stand in the line, see [KeyOf]. Of a turn of the clock little is read, since it does not count. Members that it does not know are passed over, and one that is absent
// is zero; but a line without verdict or state, or with a word, address or number that no record has, is an error.
func Parse(line []byte) (r Record, sequence uint64, err error) {
	if len(line) > maxLine {
		return Record{}, 0, fmt.Errorf("a line of %d bytes; a record has at most %d", len(line), maxLine)
	}
	var l writtenLine
	if err := json.Unmarshal(line, &l); err != nil {
		return Record{}, 0, fmt.Errorf("no line of a record: %w", err)
	}
	if r, err = l.record(); err != nil {
		return Record{}, 0, err
	}
	return r, l.Sequence, nil
}

func (l *writtenLine) record() (Record, error) {
	r := Record{
		Time: l.Time, PolicyTime: l.PolicyTime, Kind: l.Kind, User: l.User, MAC: canonicalMAC(l.MAC), Hostname: l.Hostname, Site: l.Site,
		Method: l.Method, Scheme: l.Scheme, Port: l.Port, Path: l.Path, ECH: l.ECH,
		Vendor: l.Vendor, Cause: policy.Cause{Kind: l.Category, ID: l.ID}, Guard: l.Guard,
		BytesIn: l.BytesIn, BytesOut: l.BytesOut, Ended: l.Ended,
	}
	if l.Dataset == clockDataset {
		return Record{Time: l.Time, PolicyTime: l.PolicyTime, Event: ClockTurn, User: l.User}, nil
	}
	if l.Dataset != dataset {
		return Record{}, unread("event.dataset", l.Dataset)
	}
	if l.BytesIn < 0 || l.BytesOut < 0 {
		return Record{}, fmt.Errorf("negative bytes: %d in, %d out", l.BytesIn, l.BytesOut)
	}
	if err := l.names(&r); err != nil {
		return Record{}, err
	}
	return r, l.words(&r)
}

// names reads what has a canonical form.
func (l *writtenLine) names(r *Record) (err error) {
	if l.Address != "" {
		address, _, _ := strings.Cut(l.Address, "%") // a zone may hold anything, and counts for nothing
		a, err := netip.ParseAddr(address)
		if err != nil {
			return unread("source.ip", l.Address)
		}
		r.Client = netip.AddrPortFrom(host.ClientAddr(a), l.SourcePort)
	}
	if r.Host, err = name(l.Host); err != nil {
		return fmt.Errorf("destination.address: %w", err)
	}
	if r.SNI, err = name(l.SNI); err != nil {
		return fmt.Errorf("tls.client.server_name: %w", err)
	}
	return nil
}

// words reads what is one of a few words.
func (l *writtenLine) words(r *Record) error {
	var ok bool
	if r.Event, ok = parseEvent(l.Action); !ok {
		return unread("event.action", l.Action)
	}
	if r.Verdict, ok = policy.ParseVerdict(l.Verdict); !ok {
		return unread("gracegate.verdict", l.Verdict)
	}
	if r.State, ok = policy.ParseState(l.State); !ok {
		return unread("gracegate.state", l.State)
	}
	if r.Hello, ok = policy.ParseHello(l.Hello); !ok {
		return unread("gracegate.hello", l.Hello)
	}
	for _, word := range l.Channels {
		c, ok := policy.ParseChannel(word)
		if !ok {
			return unread("gracegate.channels", word)
		}
		r.Channels = append(r.Channels, c)
	}
	return nil
}

func parseEvent(s string) (Event, bool) {
	for _, e := range []Event{Refused, Start, End} {
		if s == e.String() {
			return e, true
		}
	}
	return 0, false
}

func name(s string) (host.Name, error) {
	if s == "" {
		return host.Name{}, nil
	}
	return host.Parse(s)
}

func unread(member, value string) error {
	return fmt.Errorf("%s is %.100q, which no record of this version has", member, value)
}
