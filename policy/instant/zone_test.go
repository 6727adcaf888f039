package instant

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// zoneNames returns the names that LoadZone is to know, in order.
func zoneNames() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(zoneFiles())) {
		if strings.Contains(name, "/") && !strings.HasSuffix(name, "/") && !strings.HasPrefix(name, "Etc/") {
			names = append(names, name)
		}
	}
	return names
}

func TestLoadZone(t *testing.T) {
	// LoadZone must not look at the machine's database, which this stands for.
	t.Setenv("ZONEINFO", t.TempDir())
	names := zoneNames()
	if len(names) < 400 {
		t.Errorf("only %d zones", len(names))
	}
	for _, name := range names {
		if z, err := LoadZone(name); err != nil || z.String() != name {
			t.Errorf("LoadZone(%q) = %v, %v", name, z, err)
		}
	}
	for _, name := range []string{"UTC", "Etc/UTC"} {
		if z, err := LoadZone(name); err != nil || z != time.UTC {
			t.Errorf("LoadZone(%q) = %v, %v", name, z, err)
		}
	}
}

const iana = "; write an IANA name such as America/New_York, or UTC"

func TestLoadZoneRefuses(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"":                       "empty" + iana,
		"Local":                  "means another zone on each machine" + iana,
		"Etc/GMT+5":              "its sign is the reverse of an offset's; write the offset in the instant, or UTC",
		"Etc/GMT":                "its sign is the reverse of an offset's; write the offset in the instant, or UTC",
		"America/Gotham":         "not in the IANA database 2025c" + iana,
		"America/":               "not in the IANA database 2025c" + iana,
		"America/Argentina/":     "not in the IANA database 2025c" + iana,
		"/America/New_York":      "not in the IANA database 2025c" + iana,
		"../America/New_York":    "not in the IANA database 2025c" + iana,
		"posix/America/New_York": "not in the IANA database 2025c" + iana,
		"right/America/New_York": "not in the IANA database 2025c" + iana,
		"america/new_york":       "not in the IANA database 2025c; write America/New_York",
		"America/New York":       "not in the IANA database 2025c; write America/New_York",
	}
	for _, name := range []string{
		"EST", "EDT", "MST", "HST", "EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", "CET", "CEST", "EET", "MET", "WET", "GMT", "Z", "Zulu", "Japan", "utc",
	} {
		want[name] = "an abbreviation or a country, not an IANA name with an area" + iana
	}
	for name, want := range want {
		z, err := LoadZone(name)
		var e *Error
		if !errors.As(err, &e) || e.Kind != "zone" || e.Input != name || e.Reason+"; "+e.Hint != want || z != nil {
			t.Errorf("LoadZone(%q) = %v, %v; want %s", name, z, err, want)
		}
	}
}
