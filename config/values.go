package config

import (
	"cmp"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

var asText = []string{"!!str"}

// anyText is text as it stands, of any length.
var anyText = scalar[string]{
	name: "text", word: "text", tags: asText,
	parse:  func(s string) (string, *wrong) { return s, nil },
	format: func(s string) string { return s },
}

// line is text that is shown to people, on one line.
var line = scalar[string]{
	name: "text", word: "text", tags: asText,
	parse: func(s string) (string, *wrong) {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return "", &wrong{"has a line break or another control character", "write it on one line"}
		}
		return s, nil
	},
	format: anyText.format,
}

// fileName is the path of a file or directory.
var fileName = scalar[string]{
	name: "a path", word: "path", tags: asText,
	parse: func(s string) (string, *wrong) {
		if strings.ContainsRune(s, 0) {
			return "", &wrong{"has a NUL character", ""}
		}
		return s, nil
	},
	format: anyText.format,
}

// someFile is the path of a file that must have a name.
var someFile = func() scalar[string] {
	s := fileName
	s.parse = func(text string) (string, *wrong) {
		if text == "" {
			return "", &wrong{"is no path", "leave it out, or name a file"}
		}
		return fileName.parse(text)
	}
	return s
}()

var truth = scalar[bool]{
	name: "true or false", word: "true|false", tags: []string{"!!bool"},
	parse: func(s string) (bool, *wrong) {
		switch strings.ToLower(s) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return false, &wrong{"is neither true nor false", "write true or false"}
	},
	format: strconv.FormatBool,
}

var count = scalar[int]{
	name: "a whole number", word: "number", tags: []string{"!!int"},
	parse: func(s string) (int, *wrong) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, &wrong{"is not a whole number", "write one such as 100"}
		}
		return n, nil
	},
	format: strconv.Itoa,
}

var number = scalar[float64]{
	name: "a number", word: "number", tags: []string{"!!float", "!!int"},
	parse: func(s string) (float64, *wrong) {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, &wrong{"is not a number", "write one such as 60 or 0.5"}
		}
		return f, nil
	},
	format: func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) },
}

// duration is text with a unit. YAML reads a bare number as such, and is told what is missing; 0 needs no unit.
var duration = scalar[time.Duration]{
	name: "a duration such as 30s", word: "duration", tags: []string{"!!str", "!!int", "!!float"},
	parse:  parseDuration,
	format: formatDuration,
}

const day = 24 * time.Hour

func parseDuration(s string) (time.Duration, *wrong) {
	const hint = "write one such as 250ms, 30s, 36h or 14d"
	if _, err := strconv.ParseFloat(s, 64); err == nil && s != "0" {
		return 0, &wrong{"has no unit", hint}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return 0, &wrong{"is not a duration", hint}
		}
		return time.Duration(n) * day, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, &wrong{"is not a duration", hint}
	}
	return d, nil
}

// formatDuration writes the shortest of what parseDuration reads.
func formatDuration(d time.Duration) string {
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// size is a number of bytes with a binary unit; 0 needs none.
var size = scalar[int64]{
	name: "a size such as 64KiB", word: "size", tags: []string{"!!str", "!!int", "!!float"},
	parse:  parseSize,
	format: formatSize,
}

// sizeUnits, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func parseSize(s string) (int64, *wrong) {
	const hint = "write one such as 512B, 64KiB or 1MiB"
	if s == "0" {
		return 0, nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, &wrong{"has no unit", hint}
	}
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || !isDigit(digits[0]) || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, &wrong{"is not a size", hint}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func formatSize(n int64) string {
	if n == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// between bounds a kind on both sides.
func between[T cmp.Ordered](k scalar[T], least, most T) scalar[T] {
	parse := k.parse
	k.bounds = "at least " + k.format(least) + ", at most " + k.format(most)
	bounds := k.bounds
	k.parse = func(s string) (T, *wrong) {
		v, bad := parse(s)
		switch {
		case bad != nil:
			return v, bad
		case v < least:
			return v, &wrong{"is too small", bounds}
		case v > most:
			return v, &wrong{"is too large", bounds}
		}
		return v, nil
	}
	return k
}

// orZero lets the 0 of a kind through what bounds it; what it means, the setting's text says.
func orZero[T cmp.Ordered](k, bounded scalar[T]) scalar[T] {
	parse := bounded.parse
	bounded.parse = func(s string) (T, *wrong) {
		var zero T
		if v, bad := k.parse(s); bad == nil && v == zero {
			return zero, nil
		}
		return parse(s)
	}
	return bounded
}

// positive is between without its lower end, 0.
func positive(k scalar[float64], most float64) scalar[float64] {
	inner := between(k, 0, most)
	inner.bounds = "above 0, at most " + k.format(most)
	parse := inner.parse
	inner.parse = func(s string) (float64, *wrong) {
		v, bad := parse(s)
		if bad == nil && v == 0 {
			bad = &wrong{"is too small", "above 0, at most " + k.format(most)}
		}
		return v, bad
	}
	return inner
}

// wholeSeconds refuses fractions.
func wholeSeconds(k scalar[time.Duration]) scalar[time.Duration] {
	parse := k.parse
	k.parse = func(s string) (time.Duration, *wrong) {
		v, bad := parse(s)
		if bad == nil && v%time.Second != 0 {
			bad = &wrong{"is not a whole number of seconds", ""}
		}
		return v, bad
	}
	return k
}

// oneOf is a word out of a few.
func oneOf(words ...string) scalar[string] {
	last := len(words) - 1
	all := strings.Join(words[:last], ", ") + " or " + words[last]
	return scalar[string]{
		name: all, word: strings.Join(words, "|"), tags: asText, bounds: all,
		parse: func(s string) (string, *wrong) {
			if !slices.Contains(words, s) {
				return "", &wrong{"is not " + all, didYouMean(s, words)}
			}
			return s, nil
		},
		format: anyText.format,
	}
}

// webPage is the URL of a page that a browser can open, or nothing.
var webPage = scalar[string]{
	name: "a URL", word: "URL", tags: asText,
	parse: func(s string) (string, *wrong) {
		if s == "" {
			return "", nil
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			return "", &wrong{"is not the URL of a web page", "write one such as https://example.org/refused"}
		}
		return u.String(), nil
	},
	format: anyText.format,
}
