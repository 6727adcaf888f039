package console

import "time"

// Bundle is what /readyz tells of the signed bundle in force.
type Bundle struct {
	From    string     `json:"from"` // a file or a URL
	Version int64      `json:"version"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
	Expired bool       `json:"expired"`
	Key     string     `json:"key"`               // the id of the key that signed it
	Checked *time.Time `json:"checked"`           // when it was last found there; null: not since the start
	Problem string     `json:"problem,omitempty"` // why it is not known what is there now
	Unkept  string     `json:"unkept,omitempty"`  // why it is not kept for the next start
}

// judge tells the problems of a bundle; a nil one has none. None of them is fatal: what the bundle says is enforced on.
func (b *Bundle) judge(problem func(there, fatal bool, text string)) {
	if b == nil {
		return
	}
	problem(b.Expired, false, "the bundle has expired, what it says is enforced on: sign a new one, with a higher version")
	problem(b.Problem != "", false, "the bundle may be out of date: "+b.Problem)
	problem(b.Unkept != "", false, "the bundle is not kept, a start without its source would not have it: "+b.Unkept)
}
