package audit

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// line is a JSON object in the making, without its closing brace. Its methods append a member each, with a comma before
// it, and leave out what is absent. Keys are our own, and need no escapes.
type line []byte

func (l *line) key(key string) {
	b := append(*l, ',', '"')
	b = append(b, key...)
	*l = append(b, '"', ':')
}

func (l *line) text(key, s string) {
	if s == "" {
		return
	}
	l.key(key)
	l.quote(s)
}

func (l *line) quote(s string) {
	*l = append(*l, '"')
	*l = appendText(*l, s)
	*l = append(*l, '"')
}

// list writes n texts, of which at most maxList are written, and then a mark.
func (l *line) list(key string, n int, text func(int) string) {
	l.key(key)
	*l = append(*l, '[')
	for i := range min(n, maxList) {
		if i > 0 {
			*l = append(*l, ',')
		}
		l.quote(text(i))
	}
	if n > maxList {
		*l = append(*l, ',')
		l.quote(strings.TrimSpace(cutMark))
	}
	*l = append(*l, ']')
}

// addr writes an address, which is valid.
func (l *line) addr(key string, a netip.Addr) {
	if a.Zone() != "" { // may hold anything
		l.text(key, a.String())
		return
	}
	l.key(key)
	*l = append(*l, '"')
	*l = a.AppendTo(*l)
	*l = append(*l, '"')
}

func (l *line) number(key string, n int64) {
	if n != 0 {
		l.count(key, n)
	}
}

// count writes a number for which 0 is not absence.
func (l *line) count(key string, n int64) {
	l.key(key)
	*l = strconv.AppendInt(*l, n, 10)
}

func (l *line) flag(key string, set bool) {
	if set {
		l.key(key)
		*l = append(*l, "true"...)
	}
}

func (l *line) instant(key string, t time.Time) {
	if t.IsZero() {
		return
	}
	l.key(key)
	*l = append(*l, '"')
	*l = t.UTC().AppendFormat(*l, time.RFC3339Nano)
	*l = append(*l, '"')
}
