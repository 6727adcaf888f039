package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"strings"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// client, request and outcome are the parts of an [audit.SeenKey] that have a table of their own, in the order in which keys are
// compared.
type (
	client struct {
		address                   netip.Addr
		user, mac, hostname, site string
	}
	request struct {
		kind, method, scheme string
		host                 host.Name
		port                 uint16
		path                 string
		sni                  host.Name
		hello                policy.Hello
		ech                  bool
	}
	outcome struct {
		vendor         string
		channels       policy.ChannelSet
		verdict        policy.Verdict
		state          policy.State
		category, rule string
	}
)

// part is a pointer to one of these.
type part interface{ fill(k *audit.SeenKey) }

func partsOf(k *audit.SeenKey) (client, request, outcome) {
	return client{k.Client, k.User, k.MAC, k.Hostname, k.Site},
		request{k.Kind, k.Method, k.Scheme, k.Host, k.Port, k.Path, k.SNI, k.Hello, k.ECH},
		outcome{k.Vendor, k.Channels, k.Verdict, k.State, k.Category, k.ID}
}

func (c *client) fill(k *audit.SeenKey) {
	k.Client, k.User, k.MAC, k.Hostname, k.Site = c.address, c.user, c.mac, c.hostname, c.site
}

func (r *request) fill(k *audit.SeenKey) {
	k.Kind, k.Method, k.Scheme, k.Host, k.Port, k.Path = r.kind, r.method, r.scheme, r.host, r.port, r.path
	k.SNI, k.Hello, k.ECH = r.sni, r.hello, r.ech
}

func (o *outcome) fill(k *audit.SeenKey) {
	k.Vendor, k.Channels, k.Verdict, k.State, k.Category, k.ID = o.vendor, o.channels, o.verdict, o.state, o.category, o.rule
}

func (c client) columns() []any {
	return []any{addressText(c.address), c.user, c.mac, c.hostname, c.site}
}

func (r request) columns() []any {
	return []any{r.kind, r.method, r.scheme, r.host.String(), r.port, r.path, r.sni.String(), r.hello.String(), r.ech}
}

func (o outcome) columns() []any {
	return []any{o.vendor, channelsText(o.channels), o.verdict.String(), o.state.String(), o.category, o.rule}
}

// Each row is there once; that of a name that is known gets its latest hour.
const (
	internClient = `INSERT INTO client (last_hour, address, user, mac, hostname, site) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET last_hour = max(last_hour, excluded.last_hour) RETURNING id, last_hour`
	internRequest = `INSERT INTO request (last_hour, kind, method, scheme, host, port, path, sni, hello, ech) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET last_hour = max(last_hour, excluded.last_hour) RETURNING id, last_hour`
	internOutcome = `INSERT INTO outcome (last_hour, vendor, channels, verdict, state, category, rule) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET last_hour = max(last_hour, excluded.last_hour) RETURNING id, last_hour`
)

// interned knows the rows of one of the tables, as far as they were needed of late. After a transaction that failed, or one that
// deletes, it must forget them.
type interned[K interface {
	comparable
	columns() []any
}] struct {
	stmt  *sql.Stmt
	known map[K]knownRow
}

type knownRow struct{ id, lastHour int64 }

// maxKnown is how many rows of a table are known at a time; all are forgotten for one more.
const maxKnown = 1 << 16

// id returns the row of a name that is seen in an hour.
func (n *interned[K]) id(ctx context.Context, tx *sql.Tx, name K, hour int64) (int64, error) {
	if row, ok := n.known[name]; ok && row.lastHour >= hour {
		return row.id, nil
	}
	var row knownRow
	args := append([]any{hour}, name.columns()...)
	if err := tx.StmtContext(ctx, n.stmt).QueryRowContext(ctx, args...).Scan(&row.id, &row.lastHour); err != nil {
		return 0, err
	}
	if len(n.known) >= maxKnown {
		clear(n.known)
	}
	n.known[name] = row
	return row.id, nil
}

// forget forgets which rows there are.
func (d *DB) forget() {
	d.clients.known, d.requests.known, d.outcomes.known = map[client]knownRow{}, map[request]knownRow{}, map[outcome]knownRow{}
}

func readClient(rows *sql.Rows) (id int64, _ *client, err error) {
	c, address := &client{}, ""
	if err := rows.Scan(&id, &address, &c.user, &c.mac, &c.hostname, &c.site); err != nil {
		return 0, nil, err
	}
	if address != "" {
		c.address, err = netip.ParseAddr(address)
	}
	return id, c, err
}

func readRequest(rows *sql.Rows) (id int64, _ *request, err error) {
	r := &request{}
	var name, sni, hello string
	if err := rows.Scan(&id, &r.kind, &r.method, &r.scheme, &name, &r.port, &r.path, &sni, &hello, &r.ech); err != nil {
		return 0, nil, err
	}
	if r.host, err = readHost(name); err != nil {
		return 0, nil, err
	}
	if r.sni, err = readHost(sni); err != nil {
		return 0, nil, err
	}
	r.hello, err = known(policy.ParseHello, hello)
	return id, r, err
}

func readOutcome(rows *sql.Rows) (id int64, _ *outcome, err error) {
	o := &outcome{}
	var channels, verdict, state string
	if err := rows.Scan(&id, &o.vendor, &channels, &verdict, &state, &o.category, &o.rule); err != nil {
		return 0, nil, err
	}
	if o.verdict, err = known(policy.ParseVerdict, verdict); err != nil {
		return 0, nil, err
	}
	if o.state, err = known(policy.ParseState, state); err != nil {
		return 0, nil, err
	}
	o.channels, err = readChannels(channels)
	return id, o, err
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func readHost(s string) (host.Name, error) {
	if s == "" {
		return host.Name{}, nil
	}
	return host.Parse(s)
}

func channelsText(s policy.ChannelSet) string {
	list := s.List()
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = c.String()
	}
	return strings.Join(words, ",")
}

func readChannels(s string) (policy.ChannelSet, error) {
	if s == "" {
		return 0, nil
	}
	var list []policy.Channel
	for word := range strings.SplitSeq(s, ",") {
		c, err := known(policy.ParseChannel, word)
		if err != nil {
			return 0, err
		}
		list = append(list, c)
	}
	return policy.Channels(list...), nil
}

// known reads a word that a newer gracegate may have written.
func known[T any](parse func(string) (T, bool), word string) (T, error) {
	v, ok := parse(word)
	if !ok {
		return v, fmt.Errorf("the word %q is not known to this version", word)
	}
	return v, nil
}
