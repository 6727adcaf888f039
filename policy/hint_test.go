package policy_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy"
)

func TestKnown(t *testing.T) {
	t.Parallel()
	words := []string{"name", "networks", "jurisdictions", "relay", "serves", "mode"}
	for word, meant := range map[string]string{
		"network": "networks", "networsk": "networks", "jurisdiction": "jurisdictions", "rely": "relay", "nam": "name",
		"mood": "", "x": "", "": "", "node": "mode", "server": "serves", "something-else-entirely": "",
	} {
		want := "known are name, networks, jurisdictions, relay, serves, mode"
		if meant != "" {
			want = "did you mean " + strconv.Quote(meant) + "?"
		}
		if got := policy.Known(word, words); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
	if got := policy.Known("x", nil); got != "none is known" {
		t.Error(got)
	}
	if got := policy.Known("x", strings.Fields(strings.Repeat("word ", 30))); strings.Count(got, "word") != 20 || !strings.HasSuffix(got, "...") {
		t.Error(got)
	}
}
