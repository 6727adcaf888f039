package main

import (
	"io"

	"github.com/gracegate/gracegate/policy"
)

// The JSON of a difference. Instants are in UTC; what is absent is null.
type differenceJSON struct {
	Old     string       `json:"old"` // revisions
	New     string       `json:"new"`
	Texts   []textChange `json:"texts"`
	Changes []changeJSON `json:"changes"`
	Corpus  *corpusJSON  `json:"corpus"`
}

type changeJSON struct {
	From         *string           `json:"from"`
	Until        *string           `json:"until"`
	Old          outcomeJSON       `json:"old"`
	New          outcomeJSON       `json:"new"`
	Destinations []destinationJSON `json:"destinations"`
	Clients      []askerJSON       `json:"clients"`
}

type outcomeJSON struct {
	Verdict string  `json:"verdict"`
	State   string  `json:"state"`
	Need    *string `json:"need"`
	Kind    *string `json:"kind"`
	ID      *string `json:"id"`
}

type destinationJSON struct {
	Host     string   `json:"host"`
	Port     uint16   `json:"port"`
	Path     *string  `json:"path"`
	Vendor   *string  `json:"vendor"`
	Channels []string `json:"channels"`
}

type askerJSON struct {
	Client  *string  `json:"client"`
	User    *string  `json:"user"`
	MAC     *string  `json:"mac"`
	Site    *string  `json:"site"`
	Persons []string `json:"persons"`
}

func (d *difference) writeJSON(w io.Writer) error {
	j := differenceJSON{Old: d.old.Revision(), New: d.new.Revision(), Texts: orEmpty(d.texts), Changes: []changeJSON{}}
	for i := range d.changes {
		c := &d.changes[i]
		change := changeJSON{
			From: instantOrNull(c.From), Until: instantOrNull(c.Until), Old: outcomeOf(&c.Old), New: outcomeOf(&c.New),
		}
		for k := range c.Destinations {
			change.Destinations = append(change.Destinations, newDestinationJSON(&c.Destinations[k]))
		}
		for k := range c.Askers {
			a := &c.Askers[k]
			change.Clients = append(change.Clients, askerJSON{addressOrNull(a.Client), orNull(a.User), orNull(a.MAC), orNull(a.Site), orEmpty(a.Persons)})
		}
		j.Changes = append(j.Changes, change)
	}
	if d.corpus != nil {
		j.Corpus = d.corpus.json()
	}
	return writeJSON(w, j)
}

func newDestinationJSON(d *policy.Destination) destinationJSON {
	return destinationJSON{d.Host.String(), d.Port, orNull(d.Path), orNull(d.Vendor), channelWords(d.Channels)}
}

func outcomeOf(d *policy.Decision) outcomeJSON {
	c := d.Cause()
	return outcomeJSON{d.Verdict.String(), d.State.String(), orNull(d.Need.String()), orNull(c.Kind), orNull(c.ID)}
}
