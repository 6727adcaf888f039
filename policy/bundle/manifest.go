package bundle

import (
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// format is that of bundles which are read here.
const format = 1

// MaxVersion is the largest version: every reader of JSON has it exactly.
const MaxVersion = 1<<53 - 1

// Manifest is what a bundle says of itself.
type Manifest struct {
	Format      int       `json:"format"`       // [Make] sets it
	Version     int64     `json:"version"`      // grows with every bundle, 1 to [MaxVersion]
	Created     time.Time `json:"created"`      // in whole seconds; the bundle is valid from here on
	Expires     time.Time `json:"expires"`      // after Created, in whole seconds; no longer valid from here on
	CatalogOnly bool      `json:"catalog_only"` // its catalogue stands alone, without the one in the binary
	Limits      Limits    `json:"local_waivers"`
	Members     []Member  `json:"members"` // in the order of names; without the manifest
}

// Limits are what a bundle allows of waivers that are not in it.
type Limits struct {
	Forbidden  bool  `json:"forbidden"`
	MaxSeconds int64 `json:"max_seconds"` // that one may last; 0: no limit
}

// Max is how long a waiver may last; 0 is no limit.
func (l Limits) Max() time.Duration { return time.Duration(l.MaxSeconds) * time.Second }

// Member is one file of a bundle.
type Member struct {
	Name   string `json:"name"` // slash-separated
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal
}

// comment is the trusted comment of the signature: the same in a line, for who verifies with minisign.
func (m *Manifest) comment(size int) string {
	return fmt.Sprintf("gracegate bundle version %d, created %s, expires %s, %d bytes", m.Version, m.Created.Format(time.RFC3339), m.Expires.Format(time.RFC3339), size)
}

// commentSize finds the size in a comment.
var commentSize = regexp.MustCompile(`^gracegate bundle version .*, ([0-9]{1,9}) bytes$`)

func (m *Manifest) encode() ([]byte, error) {
	m.Format, m.Created, m.Expires = format, m.Created.UTC(), m.Expires.UTC()
	if err := m.check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(m, jsontext.WithIndent("  "), json.FormatNilSliceAsNull(false))
	return append(text, '\n'), err
}

// decode reads a manifest. A member that is not known is refused: it may be a limit.
func (m *Manifest) decode(text []byte) error {
	var told struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &told); err == nil && told.Format > format {
		return refuse(Malformed, "use a newer gracegate", "its format is %d, and this program reads %d", told.Format, format)
	}
	if err := json.Unmarshal(text, m, json.RejectUnknownMembers(true)); err != nil {
		return refuse(Malformed, signAnew, "its manifest cannot be read: %s", err)
	}
	m.Created, m.Expires = m.Created.UTC(), m.Expires.UTC()
	return m.check()
}

func (m *Manifest) check() error {
	switch {
	case m.Format != format:
		return refuse(Malformed, signAnew, "its format is %d, and this program reads %d", m.Format, format)
	case m.Version < 1 || m.Version > MaxVersion:
		return refuse(Malformed, signAnew, "its version is %d: it is 1 to %d", m.Version, int64(MaxVersion))
	case !whole(m.Created) || !whole(m.Expires):
		return refuse(Malformed, signAnew, "it was created at %s and expires at %s: both are whole seconds of the years 1 to 9999", m.Created, m.Expires)
	case !m.Created.Before(m.Expires):
		return refuse(Malformed, signAnew, "it expires at %s, not after its creation at %s", show(m.Expires), show(m.Created))
	case m.Limits.MaxSeconds < 0 || m.Limits.MaxSeconds > math.MaxInt64/int64(time.Second):
		return refuse(Malformed, signAnew, "it lets a waiver last %d seconds", m.Limits.MaxSeconds)
	}
	policy := false
	for i, member := range m.Members {
		if err := checkName(member.Name); err != nil {
			return err
		}
		if i > 0 && m.Members[i-1].Name >= member.Name {
			return refuse(Members, signAnew, "member %q stands twice in the manifest, or out of order", member.Name)
		}
		policy = policy || member.Name == PolicyName
	}
	if !policy {
		return refuse(Members, signAnew, "it holds no %s", PolicyName)
	}
	return nil
}

// whole tells an instant that the manifest and the comment can show.
func whole(t time.Time) bool {
	return t.Nanosecond() == 0 && !t.IsZero() && t.Year() >= 1 && t.Year() <= 9999
}

func show(t time.Time) string { return t.UTC().Format(time.RFC3339) }
