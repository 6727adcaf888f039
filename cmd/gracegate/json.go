package main

import (
	"encoding/json"
	"io"
	"net/netip"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// writeJSON writes what a command tells as JSON, for programs and for people.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func instantText(at time.Time, ok bool) *string {
	if !ok {
		return nil
	}
	return orNull(instant.Format(at))
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func addressOrNull(a netip.Addr) *string {
	if !a.IsValid() {
		return nil
	}
	return orNull(a.String())
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func instantOrNull(at time.Time) *string {
	if at.IsZero() {
		return nil
	}
	return orNull(instant.Format(at))
}

func channelWords(list []policy.Channel) []string {
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = c.String()
	}
	return words
}
