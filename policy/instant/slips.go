package instant

import (
	"regexp"
	"strings"
)

const example = "write RFC 3339 with an offset, such as 2024-09-29T00:00:00-04:00"

// slips are the ways in which people and documents write instants that are not read, the first that fits counts.
// In the reason, $1 is what the pattern caught.
var slips = []struct {
	pattern      *regexp.Regexp
	reason, hint string
}{
	{regexp.MustCompile(`^$`), "empty", example},
	{regexp.MustCompile(`^\s|\s$`), "a blank at its start or end", "leave out the blank"},
	{regexp.MustCompile(`(?:^|[^A-Za-z])(UTC|GMT)$`), "$1 in letters", "write Z, as in 2024-09-29T00:00:00Z"},
	{regexp.MustCompile(`(?i)(?:^|[^a-z])[ap]\.?m\.?$`), "a 12-hour clock", example},
	{
		regexp.MustCompile(`(?:^|[^A-Za-z])(?:AM|PM)?([A-Z]{2,5})$`), "$1 is an abbreviation, not an offset",
		example + ", or a legal word with an IANA zone",
	},
	{regexp.MustCompile(`T.*[+-][0-9]{2}(?:[0-9]{2})?$`), "an offset without colon and minutes", example},
	{regexp.MustCompile(`T.*,[0-9]+`), "a decimal comma", "write a decimal point"},
}

// misshapen returns the most useful error for a text that has not the shape of RFC 3339.
func misshapen(s string) error {
	if again := strings.ToUpper(strings.Replace(s, " ", "T", 1)); again != s && shape.MatchString(again) {
		return fail(s, `"T" between date and time, and "Z", are written so`, "write "+again)
	}
	for _, slip := range slips {
		if m := slip.pattern.FindStringSubmatchIndex(s); m != nil {
			return fail(s, string(slip.pattern.ExpandString(nil, slip.reason, s, m)), slip.hint)
		}
	}
	return fail(s, "neither a date nor an instant", example)
}
