package source

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// scalar returns the text of n as it is written, whatever YAML takes it for: a date is no timestamp, and off is no boolean.
// kind says with its article what is wanted: "a vendor".
func (r *reader) scalar(n *yaml.Node, kind string) (text string, ok bool) {
	switch {
	case n.Kind == yaml.AliasNode: // told already
	case n.Kind != yaml.ScalarNode:
		r.wrong(n, "", "%s is a text, not %s", kind, describe(n))
	case isNull(n) || strings.TrimSpace(n.Value) == "":
		r.wrong(n, "", "%s is empty", kind)
	default:
		return n.Value, true
	}
	return "", false
}

// text reads words for people. They become one line, so that they fit into a log or a header.
func (r *reader) text(kind string, out *string) reading {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, kind)
		if !ok {
			return
		}
		s = strings.Join(strings.Fields(s), " ")
		if i := strings.IndexFunc(s, invisible); i >= 0 {
			r.wrong(n, "remove it", "%s has an invisible character: %s", kind, quote(s))
			return
		}
		*out = s
	}
}

var idShape = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// id reads the name that something is given.
func (r *reader) id(kind string, out *string) reading {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "the id of "+kind)
		if !ok {
			return
		}
		if !idShape.MatchString(s) {
			r.wrong(n, `use at most 64 letters, digits, ".", "_" and "-"`, "%s cannot be called %s", kind, quote(s))
			return
		}
		*out = s
	}
}

// flag reads true or false.
func (r *reader) flag(out *bool) reading {
	return func(n *yaml.Node) {
		switch {
		case n.Kind == yaml.AliasNode: // told already
		case n.Kind == yaml.ScalarNode && n.Style == 0 && (n.Value == "true" || n.Value == "false"):
			*out = n.Value == "true"
		default:
			r.wrong(n, "write true or false", "neither true nor false: %s", describe(n))
		}
	}
}

// choice reads one of the words, each of which stands for its place among them. kind has no article.
func choice[T ~uint8](r *reader, kind string, words []string, out *T) reading {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, withArticle(kind))
		if !ok {
			return
		}
		i := slices.Index(words, s)
		if i < 0 {
			r.wrong(n, policy.Known(s, words), "unknown %s %s", kind, quote(s))
			return
		}
		*out = T(i)
	}
}

// verdict reads, for a setting, the word that blocks or the one that does not.
func (r *reader) verdict(setting, allow string, out *policy.Verdict) reading {
	return choice(r, "word for "+setting, []string{policy.Block: policy.Block.String(), policy.Allow: allow}, out)
}

func withArticle(kind string) string {
	if strings.ContainsRune("aeio", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// channels reads a list that names at least one channel.
func (r *reader) channels(out *policy.ChannelSet) reading {
	return r.filled("channel", r.anyChannels(out))
}

// anyChannels reads a list of channels that may be empty.
func (r *reader) anyChannels(out *policy.ChannelSet) reading {
	return r.each("channel", func(n *yaml.Node) {
		before := r.mistakes()
		var c policy.Channel
		if choice(r, "channel", policy.ChannelWords, &c)(n); r.mistakes() > before {
			return
		}
		if out.Has(c) {
			r.wrong(n, "", "channel %s stands twice", c)
		}
		*out |= policy.Channels(c)
	})
}

// each reads a list, one node after the other. kind says what it is a list of, in the singular and without article.
func (r *reader) each(kind string, read reading) reading {
	return func(n *yaml.Node) {
		switch n.Kind {
		case yaml.SequenceNode:
			for _, c := range n.Content {
				read(c)
			}
		case yaml.AliasNode: // told already
		default:
			r.wrong(n, listHint(n), "a list of %ss is wanted, not %s", kind, describe(n))
		}
	}
}

func listHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && len(n.Value) <= maxQuoted && strings.IndexFunc(n.Value, invisible) < 0 {
		return "write [" + n.Value + "]"
	}
	return `begin each with "- "`
}

// filled refuses an empty list before it reads one. An empty list where something is picked is a trap: it could mean nothing
// as well as everything.
func (r *reader) filled(kind string, read reading) reading {
	return func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			r.wrong(n, "name at least one", "an empty list of %ss", kind)
			return
		}
		read(n)
	}
}

// words reads a list of texts, each of which may stand once: the names of things that are defined elsewhere.
func (r *reader) words(kind string, out *[]string) reading {
	return r.unique(kind, out, r.text)
}

// ids reads a list of names that are given here.
func (r *reader) ids(kind string, out *[]string) reading {
	return r.unique(kind, out, r.id)
}

func (r *reader) unique(kind string, out *[]string, one func(string, *string) reading) reading {
	return r.each(kind, func(n *yaml.Node) {
		var s string
		one(withArticle(kind), &s)(n)
		switch {
		case s == "": // told already
		case slices.Contains(*out, s):
			r.wrong(n, "", "%s %s stands twice", kind, quote(s))
		default:
			*out = append(*out, s)
		}
	})
}

// day reads a plain date, which is kept as it is written.
func (r *reader) day(out *string) reading {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "a date")
		if !ok {
			return
		}
		if _, err := instant.Day(s); err != nil {
			r.badInstant(n, err)
			return
		}
		*out = s
	}
}

// badInstant tells what package instant refused, in its words.
func (r *reader) badInstant(n *yaml.Node, err error) {
	if e, ok := errors.AsType[*instant.Error](err); ok {
		r.wrong(n, e.Hint, "%s %s: %s", e.Kind, quote(e.Input), e.Reason)
		return
	}
	r.wrong(n, "", "%s", err)
}

// link reads a web address.
func (r *reader) link(out *string) reading {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "a URL")
		if !ok {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(s, " \"<>\\") {
			r.wrong(n, "write http:// or https:// and the rest", "not a web address: %s", quote(s))
			return
		}
		*out = s
	}
}

const (
	oneDay      = 24 * time.Hour
	maxDuration = 3650 * oneDay
)

var durationShape = regexp.MustCompile(`^(?:([0-9]{1,5})d)?([0-9.]+[a-zµ].*)?$`)

// duration reads "30d", "36h", "1d12h" or 0. A day is 24 hours.
func (r *reader) duration(out *time.Duration) reading {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "a duration")
		if !ok {
			return
		}
		d, ok := ParseDuration(s)
		switch {
		case !ok:
			r.wrong(n, "write a number with its unit, such as 30d or 36h", "not a duration: %s", quote(s))
		case d > maxDuration:
			r.wrong(n, "", "duration %s is longer than ten years", quote(s))
		default:
			*out = d
		}
	}
}

// ParseDuration reads a duration as a policy file has it: "30d", "36h", "1d12h" or 0, not below. A day is 24 hours.
func ParseDuration(s string) (time.Duration, bool) {
	m := durationShape.FindStringSubmatch(s)
	switch {
	case s == "0":
		return 0, true
	case m == nil || s == "":
		return 0, false
	}
	var d time.Duration
	if m[1] != "" {
		days, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, false
		}
		d = time.Duration(days) * oneDay
	}
	if m[2] != "" {
		rest, err := time.ParseDuration(m[2])
		if err != nil {
			return 0, false
		}
		d += rest
	}
	return d, d >= 0
}
