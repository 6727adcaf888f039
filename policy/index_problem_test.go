package policy

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gracegate/gracegate/policy/match"
)

// TestIndexProblemsHaveAPlace: what only the index finds out is told where it stands in the file.
func TestIndexProblemsHaveAPlace(t *testing.T) {
	var v Vendor
	v.ID = "acme"
	for i := range 9 { // nine meanings that overlap in every way are more than the index enumerates
		ports := []match.PortRange{{First: 443, Last: 443}}
		v.Endpoints = append(v.Endpoints, Endpoint{
			Hosts: names("p.example"), Ports: ports, Paths: patterns("/**"), Channels: Channels(Channel(i)), Sources: someSource,
			Pos: Pos{File: "acme.yaml", Line: 10 + i, Column: 5},
		}, Endpoint{
			Hosts: names("p.example"), Ports: ports, Paths: patterns(fmt.Sprintf("/**%d**", i)), Channels: Channels(Channel(i), Local),
			Sources: someSource, Pos: Pos{File: "acme.yaml", Line: 30 + i, Column: 5},
		})
	}
	_, err := NewCatalog([]Vendor{v}, nil, nil, "")
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 || problems[0].Pos.File != "acme.yaml" || problems[0].Pos.Line == 0 {
		t.Errorf("got %v, want problems with their place in acme.yaml", err)
	}
}
