package policy

import (
	"strings"

	"github.com/gracegate/gracegate/policy/instant"
)

// Line writes a reason as a line: what it is, by which text, about what, what it brings about, and from when until when.
func (r *Reason) Line() string {
	var words []string
	add := func(word string) {
		if word != "" {
			words = append(words, word)
		}
	}
	if r.Decisive {
		add("decisive")
	}
	add(r.Kind)
	add(r.Restriction)
	if r.Kind != "endpoint" || r.Effect != "fingerprint" { // of that it is the path
		add(r.ID)
	}
	if r.Vendor != "" {
		add(strings.TrimSuffix(r.Vendor+"/"+r.Channel, "/"))
	}
	add(r.Effect)
	if r.From != nil {
		add("from " + instant.Format(r.From.At))
	}
	if r.Until != nil {
		add("until " + instant.Format(r.Until.At))
	}
	return strings.Join(words, " ")
}
