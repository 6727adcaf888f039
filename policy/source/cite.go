package source

import (
	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// cite reads where a fact comes from.
func (r *reader) cite(out *policy.Source) reading {
	return func(n *yaml.Node) {
		r.mapping(n, "a source",
			must("title", r.text("a title", &out.Title)),
			may("citation", r.text("a citation", &out.Citation)),
			may("url", r.link(&out.URL)),
			must("checked", r.day(&out.Checked)).or("a source without the day on which it was checked", "write checked: and a date"),
			must("grade", choice(r, "grade", policy.GradeWords, &out.Grade)),
			may("note", r.text("a note", &out.Note)))
	}
}

// maybeCite reads a source that stands in for another.
func (r *reader) maybeCite(out **policy.Source) reading {
	return func(n *yaml.Node) {
		s := new(policy.Source)
		r.cite(s)(n)
		*out = s
	}
}

// ownCite is cite for the operator's file, where the operator's word is enough.
func (r *reader) ownCite(out *policy.Source) reading {
	return func(n *yaml.Node) {
		out.Grade = policy.GradeOperator
		r.mapping(n, "a source",
			must("title", r.text("a title", &out.Title)),
			may("citation", r.text("a citation", &out.Citation)),
			may("url", r.link(&out.URL)),
			may("checked", r.day(&out.Checked)),
			may("grade", choice(r, "grade", policy.GradeWords, &out.Grade)),
			may("note", r.text("a note", &out.Note)))
	}
}
