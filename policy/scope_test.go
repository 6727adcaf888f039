package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

// TestTooManyKindsOfClient: a file in which users and devices meet in every way is refused, not compiled for minutes.
func TestTooManyKindsOfClient(t *testing.T) {
	op := enforced()
	for i := range 200 {
		for _, c := range []Clients{{Users: []string{fmt.Sprint("u", i)}}, {MACs: []string{fmt.Sprintf("00:16:3e:aa:bb:%02x", i)}}} {
			op.Waivers = append(op.Waivers, Waiver{
				ID: fmt.Sprint("w", len(op.Waivers)), Clients: c, Target: Target{Vendor: "acme"}, Until: on(soon), Owner: "o", Reason: "r",
			})
		}
	}
	c, err := NewCatalog([]Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Signatures), "u.example")}}}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile(c, op, Options{})
	var problems Problems
	if !errors.As(err, &problems) || problems[0].Hint == "" {
		t.Errorf("got %v, want a problem with a hint", err)
	}
}

// TestManyNetworks: what holds in a network holds in those inside of it, for tens of thousands of them too.
func TestManyNetworks(t *testing.T) {
	op := enforced()
	op.DefaultSite.Jurisdictions = nil
	var nets []netip.Prefix
	for i := range 40_000 {
		nets = append(nets, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24).Masked())
	}
	op.Sites = []Site{
		{Name: "wide", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Jurisdictions: []string{"US"}},
		{Name: "many", Networks: nets, Jurisdictions: []string{}},
	}
	op.Persons = []Person{{Name: "p", Clients: Clients{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/9")}}, Jurisdictions: []string{"AU"}}}
	s, err := compileScopes(op)
	if err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]string{"10.1.2.3": "[AU]", "10.255.0.1": "[US]", "10.127.255.1": "[AU]", "11.0.0.1": "[]"} {
		got := s.list[s.index(&Facts{Client: netip.MustParseAddr(client)})].jurisdictions
		if fmt.Sprint(got) != want {
			t.Errorf("%s: bound by %v, want %s", client, got, want)
		}
	}
}
