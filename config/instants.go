package config

import (
	"regexp"
	"strings"
	"time"
)

// KnownAt is the horizon of policy.known-at: what the policy may have learnt. Its zero value sees all that is loaded.
type KnownAt struct {
	Clock bool      // only what was published by the policy clock's time
	At    time.Time // if not zero: only what was published by this instant
}

// String returns the setting as it is written: "all", "clock" or an RFC 3339 instant.
func (k KnownAt) String() string {
	switch {
	case k.Clock:
		return "clock"
	case !k.At.IsZero():
		return formatInstant(k.At)
	default:
		return "all"
	}
}

var horizon = scalar[KnownAt]{
	name: "all, clock or an instant", word: "all|clock|INSTANT", tags: []string{"!!str", "!!timestamp"},
	parse: func(s string) (KnownAt, *wrong) {
		switch s {
		case "all":
			return KnownAt{}, nil
		case "clock":
			return KnownAt{Clock: true}, nil
		}
		at, bad := parseInstant(s)
		if bad != nil && !strings.Contains(s, "-") {
			bad = &wrong{"is not all, clock or an instant", bad.hint}
		}
		return KnownAt{At: at}, bad
	},
	format: KnownAt.String,
}

// instant is an RFC 3339 instant, or nothing: the zero time.
var instant = scalar[time.Time]{
	name: "an instant", word: "instant", tags: []string{"!!str", "!!timestamp"},
	parse: func(s string) (time.Time, *wrong) {
		if s == "" {
			return time.Time{}, nil
		}
		return parseInstant(s)
	},
	format: formatInstant,
}

func formatInstant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// rfc3339 refuses what time.Parse lets pass: an hour of one digit, a comma before the fraction, digits beyond the ninth.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)

// parseInstant reads RFC 3339 with up to nine digits of a second. Its zone is an offset, since abbreviations such as EST
// mean different offsets in different places and seasons.
func parseInstant(s string) (time.Time, *wrong) {
	const hint = "write it like 2024-09-29T00:00:00-04:00"
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil && rfc3339.MatchString(s) {
		if t.IsZero() {
			return t, &wrong{"lies at the very beginning of the calendar", "name a later one"}
		}
		return t, nil
	}
	what := "is not RFC 3339"
	switch end := strings.TrimLeft(s, "0123456789-:T. "); {
	case len(s) == len("2006-01-02") && end == "":
		what = "has no time of day and no offset"
	case len(s) >= len("2006-01-02T15:04") && end == "" && strings.LastIndexAny(s, "T ") > strings.LastIndexByte(s, '-'):
		what = "has no offset from UTC"
	case len(end) >= 2 && len(end) <= 5 && end == strings.ToUpper(end) && strings.Trim(end, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "":
		what = "has the zone " + end + ", which is ambiguous"
	case strings.Contains(s, "T24:"):
		what = "has hour 24, which is the next day's hour 00"
	}
	return time.Time{}, &wrong{what, hint}
}
