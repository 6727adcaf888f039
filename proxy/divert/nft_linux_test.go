package divert_test

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/proxy/divert"
)

// Every set of rules is taken, once and again, and taken out, once and again. What others have loaded stays.
func TestNFTTakesEverySet(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	const other = "table inet fw4 {\n\tchain input {\n\t\ttcp dport 22 accept\n\t}\n}\n"
	s.load(t, other)
	for _, listener := range [][2]netip.AddrPort{
		{at("0.0.0.0:3129"), at("[::]:3129")}, {at("192.168.1.1:3129"), at("[fd00::1]:3130")}, {at("0.0.0.0:65535"), at("")}, {at(""), at("[::]:1")},
	} {
		for flags := range 16 {
			var exempt []netip.Prefix
			if flags&8 != 0 {
				exempt = prefixes("10.0.0.0/24", "10.0.1.0/24", "10.0.0.9/32", "2001:db8::/32", "2001:db8::1/128", "2001:db9::1/128")
			}
			text, err := divert.NFT(divert.Rules{
				Interfaces: []string{"br-lan", "eth0.10", "-j", "wg0", "tun.", "a_b"}, IPv4: listener[0], IPv6: listener[1], TPROXY: flags&1 != 0, BlockQUIC: flags&2 != 0, ForceDNS: flags&4 != 0,
				Clients: exempt, Destinations: exempt,
			})
			if err != nil {
				t.Fatal(err)
			}
			s.load(t, text, "-c")
			s.load(t, text)
			first := s.ruleset(t)
			s.load(t, text)
			if again := s.ruleset(t); again != first || !strings.Contains(first, "table inet gracegate {") {
				t.Fatalf("loaded twice it is another ruleset:\n%s\n%s", first, again)
			}
		}
	}
	for range 2 {
		s.load(t, divert.RemoveNFT(), "-c")
		s.load(t, divert.RemoveNFT())
		if got := s.ruleset(t); got != other {
			t.Fatalf("what is left:\n%s", got)
		}
	}
}

// question is what somebody at a site dials, and who answers.
type question struct {
	from          func(*site) *space
	network, addr string
	want          string
}

func client(s *site) *space { return s.client }
func guest(s *site) *space  { return s.guest }
func router(s *site) *space { return s.router }

// web is what every set of rules does.
var web = []question{
	{client, "tcp", "198.51.100.7:80", "gracegate"},
	{client, "tcp", "198.51.100.7:443", "gracegate"},
	{client, "tcp", "[2001:db8:7::7]:80", "gracegate"},
	{client, "tcp", "[2001:db8:7::7]:443", "gracegate"},
	{client, "tcp", "203.0.113.2:443", "gracegate"},

	// Other ports, other interfaces, and what the router dials by itself.
	{client, "tcp", "198.51.100.7:8443", "internet"},
	{client, "tcp", "[2001:db8:7::7]:8443", "internet"},
	{guest, "tcp", "198.51.100.7:443", "internet"},
	{guest, "tcp", "[2001:db8:7::7]:443", "internet"},
	{router, "tcp", "198.51.100.7:80", "internet"},
	{router, "tcp", "[2001:db8:7::7]:443", "internet"},

	// What is local: private, and the addresses of the router, inner and outer.
	{client, "tcp", "192.168.9.9:443", "internet"},
	{client, "tcp", "[fd99::9]:80", "internet"},
	{client, "tcp", "10.0.2.2:443", "refused"}, // by the guest, who listens nowhere
	{client, "tcp", "10.0.1.1:443", "router"},
	{client, "tcp", "203.0.113.1:80", "router"},
	{client, "tcp", "[fd00:1::1]:80", "router"},
	{client, "tcp", "[2001:db8:1::1]:443", "router"},

	// The other direction.
	{func(s *site) *space { return s.internet }, "tcp", "203.0.113.1:443", "router"},
}

// quic is what --block-quic adds.
func quic(want string) []question {
	return []question{
		{client, "udp", "198.51.100.7:443", want},
		{client, "udp", "198.51.100.7:80", want},
		{client, "udp", "[2001:db8:7::7]:443", want},
		{client, "udp", "[2001:db8:7::7]:80", want},
		{client, "udp", "192.168.9.9:443", "internet"},
		{client, "udp", "10.0.1.1:443", "router"},
		{client, "udp", "198.51.100.7:8443", "internet"},
		{guest, "udp", "198.51.100.7:443", "internet"},
		{router, "udp", "198.51.100.7:443", "internet"},
	}
}

// dns is what --force-dns adds. Without it, DNS over HTTPS goes the way of all that is on port 443.
func dns(want, doh string) []question {
	return []question{
		{client, "udp", "8.8.8.8:53", want},
		{client, "tcp", "8.8.8.8:53", want},
		{client, "tcp", "8.8.8.8:853", want},
		{client, "udp", "8.8.8.8:853", want},
		{client, "tcp", "8.8.8.8:443", doh},
		{client, "udp", "[2001:4860:4860::8888]:53", want},
		{client, "tcp", "[2001:4860:4860::8888]:853", want},
		{client, "tcp", "[2001:4860:4860::8888]:443", doh},
		{client, "tcp", "8.8.8.8:80", "gracegate"},
		{client, "tcp", "8.8.8.8:8443", "internet"},
		{client, "udp", "10.0.1.1:53", "router"},
		{client, "tcp", "10.0.1.1:53", "router"},
		{client, "udp", "[fd00:1::1]:53", "router"},
		{client, "udp", "192.168.9.9:53", "internet"},
		{client, "udp", "198.51.100.7:53", "internet"}, // a resolver that is not well known
		{guest, "udp", "8.8.8.8:53", "internet"},
		{router, "udp", "8.8.8.8:53", "internet"},
	}
}

func (s *site) check(t *testing.T, questions ...question) {
	t.Helper()
	for _, q := range questions {
		if got := q.from(s).ask(q.network, q.addr); got != q.want {
			t.Errorf("%s %s from %s: %q, want %q", q.network, q.addr, map[*space]string{
				s.client: "the client", s.guest: "the guest", s.router: "the router", s.internet: "the internet",
			}[q.from(s)], got, q.want)
		}
	}
}

func (s *site) load(t *testing.T, rules divert.Rules) {
	t.Helper()
	rules.Interfaces = []string{"lan"}
	text, err := divert.NFT(rules)
	if err != nil {
		t.Fatal(err)
	}
	s.router.load(t, text)
}

func TestRedirected(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.router.listen(t, ":3129")
	s.load(t, divert.Rules{IPv4: at("0.0.0.0:3129"), IPv6: at("[::]:3129")})
	s.check(t, web...)
	s.check(t, quic("internet")...)
	s.check(t, dns("internet", "gracegate")...)

	s.load(t, divert.Rules{IPv4: at("0.0.0.0:3129"), IPv6: at("[::]:3129"), BlockQUIC: true, ForceDNS: true})
	s.check(t, web...)
	s.check(t, quic("refused")...)
	s.check(t, dns("refused", "refused")...)

	s.router.load(t, divert.RemoveNFT())
	s.check(t, question{client, "tcp", "198.51.100.7:443", "internet"}, question{client, "udp", "8.8.8.8:53", "internet"})
}

// What is exempt is neither sent to the gateway nor refused, in whichever way the rest is.
func TestExempt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.router.listen(t, ":3129")
	s.router.run(t, strings.Join(divert.TPROXYRoutes(), "\n"))
	for _, tproxy := range []bool{false, true} {
		rules := divert.Rules{IPv4: at("0.0.0.0:3129"), IPv6: at("[::]:3129"), TPROXY: tproxy, BlockQUIC: true, ForceDNS: true}
		rules.Destinations = prefixes("198.51.100.0/24", "8.8.8.8/32")
		s.load(t, rules)
		s.check(t,
			question{client, "tcp", "198.51.100.7:443", "internet"},
			question{client, "udp", "198.51.100.7:443", "internet"},
			question{client, "udp", "8.8.8.8:53", "internet"},
			question{client, "tcp", "8.8.8.8:443", "internet"},
			question{client, "tcp", "203.0.113.2:443", "gracegate"},
			question{client, "tcp", "[2001:db8:7::7]:443", "gracegate"},
			question{client, "udp", "[2001:db8:7::7]:443", "refused"},
		)
		rules.Destinations, rules.Clients = nil, prefixes("fd00:1::2/128", "10.0.1.3/32")
		s.load(t, rules)
		s.check(t,
			question{client, "tcp", "[2001:db8:7::7]:443", "internet"},
			question{client, "udp", "[2001:db8:7::7]:443", "internet"},
			question{client, "udp", "[2001:4860:4860::8888]:53", "internet"},
			question{client, "tcp", "198.51.100.7:443", "gracegate"},
			question{client, "udp", "8.8.8.8:53", "refused"},
		)
	}
}

// A listener on an address of another interface is reached too, where a redirection would go to that of the incoming one.
func TestRedirectedToOneAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.router.listen(t, "10.0.2.1:3129")
	s.router.listen(t, "[fd00:2::1]:3130")
	s.load(t, divert.Rules{IPv4: at("10.0.2.1:3129"), IPv6: at("[fd00:2::1]:3130")})
	s.check(t, web...)
}

func TestTPROXY(t *testing.T) {
	t.Parallel()
	for name, listener := range map[string][2]string{"everywhere": {"0.0.0.0:3129", "[::]:3129"}, "on loopback": {"127.0.0.1:3129", "[::1]:3130"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			rules := divert.Rules{IPv4: at(listener[0]), IPv6: at(listener[1]), TPROXY: true, BlockQUIC: true, ForceDNS: true}
			s.load(t, rules)
			s.check(t, question{client, "tcp", "198.51.100.7:443", "refused"}, question{client, "tcp", "[2001:db8:7::7]:443", "refused"}) // nobody listens
			if name == "everywhere" {
				s.router.listen(t, ":3129")
			} else {
				s.router.listen(t, listener[0])
				s.router.listen(t, listener[1])
			}
			s.router.run(t, strings.Join(divert.TPROXYRoutes(), "\n"))
			s.check(t, web...)
			s.check(t, quic("refused")...)
			s.check(t, dns("refused", "refused")...)

			// A client sees the address that it dialled, and so does the gateway.
			c, err := s.client.dial("tcp", "198.51.100.7:443")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := answer(c); got != "gracegate" || echo(t, c, strings.Repeat("x", 40)) != strings.Repeat("x", 40) {
				t.Errorf("%q", got)
			}

			// What --remove prints takes the routes out, too.
			s.router.load(t, divert.RemoveNFT())
			for line := range strings.Lines(divert.RemoveNFT()) {
				if command, is := strings.CutPrefix(line, "#\t"); is {
					s.router.run(t, command)
				}
			}
			s.check(t, question{client, "tcp", "198.51.100.7:443", "internet"}, question{client, "tcp", "[2001:db8:7::7]:443", "internet"})
			for _, list := range []string{"ip -4 rule", "ip -6 rule", "ip -4 route show table all", "ip -6 route show table all"} {
				if out, err := s.router.try("", strings.Fields(list)...); err != nil || strings.Contains(out, fmt.Sprint(" ", divert.TPROXYTable)) {
					t.Errorf("%s: %v\n%s", list, err, out)
				}
			}
		})
	}
}

// Nothing goes around the gateway: not in a family that it does not listen on, and not over what was open before.
func TestNothingGoesAround(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before, err := s.client.dial("tcp", "198.51.100.7:443")
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if got := answer(before) + echo(t, before, "still there?"); got != "internetstill there?" {
		t.Fatal(got)
	}
	s.check(t, question{client, "tcp", "[2001:db8:7::7]:443", "internet"})

	s.load(t, divert.Rules{IPv4: at("0.0.0.0:3129")})
	s.check(t, question{client, "tcp", "198.51.100.7:443", "refused"}) // the gateway does not run
	s.router.listen(t, ":3129")
	s.check(t,
		question{client, "tcp", "198.51.100.7:443", "gracegate"},
		question{client, "tcp", "[2001:db8:7::7]:443", "refused"},
		question{client, "tcp", "[2001:db8:7::7]:8443", "internet"},
		question{client, "tcp", "[fd99::9]:443", "internet"},
		question{guest, "tcp", "[2001:db8:7::7]:443", "internet"},
	)
	if got := echo(t, before, "still there?"); got != "reset" {
		t.Errorf("a connection from before: %q", got)
	}
}

func echo(t *testing.T, c io.ReadWriter, said string) string {
	t.Helper()
	if _, err := io.WriteString(c, said); err != nil {
		return fault(err)
	}
	heard := make([]byte, len(said))
	if _, err := io.ReadFull(c, heard); err != nil {
		return fault(err)
	}
	return string(heard)
}
