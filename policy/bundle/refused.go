package bundle

import (
	"fmt"
	"time"
)

// Reason is why a bundle is refused, in a word.
type Reason string

// The reasons.
const (
	Malformed   Reason = "malformed"
	Oversize    Reason = "oversize"
	Truncated   Reason = "truncated"
	UnknownKey  Reason = "unknown-key"
	Signature   Reason = "signature"
	Members     Reason = "members" // are not those of the manifest, or cannot be in a bundle
	Expired     Reason = "expired"
	NotYetValid Reason = "not-yet-valid"
	Older       Reason = "older"
	SameVersion Reason = "same-version" // as one that was in force, with other contents
)

// RefusedError tells why a bundle is refused, and what to do.
type RefusedError struct {
	Reason  Reason
	Message string // about "it", the bundle
	Hint    string
}

func (e *RefusedError) Error() string { return e.Message }

func refuse(reason Reason, hint, format string, args ...any) *RefusedError {
	return &RefusedError{reason, fmt.Sprintf(format, args...), hint}
}

const (
	signAnew  = "have it signed anew, with gracegate bundle sign"
	fetchAnew = "fetch it again from who signed it"
)

// Skew is by how much the clock of who signs may be ahead.
const Skew = 5 * time.Minute

// Fresh refuses a bundle that is expired at an instant, or not yet valid. The error is a [*RefusedError].
func (b *Bundle) Fresh(now time.Time) error {
	switch {
	case now.Before(b.Created.Add(-Skew)):
		return refuse(NotYetValid, "gracegate clock tells whether this machine's clock can be believed", "it is of %s, and it is %s now", show(b.Created), show(now))
	case b.Expired(now):
		return refuse(Expired, "sign a new one, with a higher version", "it expired at %s, and it is %s now", show(b.Expires), show(now))
	}
	return nil
}

// Expired tells whether a bundle has expired at an instant.
func (b *Bundle) Expired(now time.Time) bool { return !now.Before(b.Expires) }

// Seen is what is remembered of the bundle that was last in force.
type Seen struct {
	Version int64  `json:"version"`
	Digest  string `json:"digest"`
}

// Seen returns what to remember of a bundle.
func (b *Bundle) Seen() Seen { return Seen{b.Version, b.Digest} }

// After refuses a bundle that is older than one that was in force, or of the same version with other contents. The error is a
// [*RefusedError].
func (b *Bundle) After(seen Seen) error {
	const hint = "sign it with a higher version; to go back to an earlier policy, sign that one anew"
	switch {
	case b.Version < seen.Version:
		return refuse(Older, hint, "it is version %d, and version %d was in force", b.Version, seen.Version)
	case b.Version == seen.Version && b.Digest != seen.Digest:
		return refuse(SameVersion, hint, "it is version %d, as was one in force with other contents", b.Version)
	}
	return nil
}
