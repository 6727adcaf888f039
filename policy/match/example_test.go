package match_test

import (
	"fmt"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

func Example() {
	oem, err := match.ParsePattern("/v6/**")
	if err != nil {
		panic(err)
	}
	what := []string{"updates", "the portal", "activation", "an engine in another product"}
	names, err := match.NewNames([]match.Entry{
		{Zones: []host.Name{host.MustParse("upd.kaspersky.com")}, Meaning: 0},
		{Zones: []host.Name{host.MustParse("ksc.kaspersky.com")}, Ports: []match.PortRange{{First: 443, Last: 443}}, Meaning: 1},
		{Zones: []host.Name{host.MustParse("ksc.kaspersky.com")}, Ports: []match.PortRange{{First: 27200, Last: 27299}}, Meaning: 2},
		{Hosts: []host.Name{host.MustParse("kav8.zonealarm.com")}, Paths: []match.Pattern{oem}, Meaning: 3},
	})
	if err != nil {
		panic(err)
	}
	index, err := match.NewIndex(names, nil)
	if err != nil {
		panic(err)
	}

	for _, flow := range []struct {
		host string
		port uint16
		path string
	}{
		{"s20.upd.kaspersky.com", 443, ""},
		{"s20.upd.kaspersky.com.evil.example", 443, ""},
		{"ksc.kaspersky.com", 443, ""},
		{"ksc.kaspersky.com", 27204, ""},
		{"kav8.zonealarm.com", 80, ""},
		{"kav8.zonealarm.com", 80, "/v6//index/u1313g.xml?id=1"},
	} {
		class := index.Lookup(host.MustParse(flow.host), flow.port)
		if path, ok := match.CleanPath(flow.path); flow.path != "" && ok {
			class = index.Path(class, path)
		}
		fmt.Printf("%s:%d%s: ", flow.host, flow.port, flow.path)
		switch c := index.Class(class); {
		case c.Outcomes != nil:
			fmt.Println("the path tells")
		case class == match.Unmatched:
			fmt.Println("unmatched")
		default:
			fmt.Println(what[c.Entries[0]])
		}
	}
	// Output:
	// s20.upd.kaspersky.com:443: updates
	// s20.upd.kaspersky.com.evil.example:443: unmatched
	// ksc.kaspersky.com:443: the portal
	// ksc.kaspersky.com:27204: activation
	// kav8.zonealarm.com:80: the path tells
	// kav8.zonealarm.com:80/v6//index/u1313g.xml?id=1: an engine in another product
}
