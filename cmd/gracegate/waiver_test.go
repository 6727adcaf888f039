package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/config"
)

// seenOf yields these, and then an error if there is one.
func seenOf(err error, all ...audit.Seen) iter.Seq2[audit.Seen, error] {
	return func(yield func(audit.Seen, error) bool) {
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
		if err != nil {
			yield(audit.Seen{}, err)
		}
	}
}

func seen(category, id string, flows int64, last time.Time) audit.Seen {
	return audit.Seen{SeenKey: audit.SeenKey{Category: category, ID: id}, Flows: flows, Last: last}
}

func TestUsesOf(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	all := []audit.Seen{
		seen("waiver", "CHG-1", 3, at.Add(time.Hour)), seen("waiver", "CHG-2", 1, at), seen("waiver", "CHG-1", 4, at),
		seen("rule", "CHG-1", 100, at.Add(2*time.Hour)),
	}
	got, err := usesOf(seenOf(nil, all...))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]waiverUse{"CHG-1": {7, at.Add(time.Hour)}, "CHG-2": {1, at}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	broken := errors.New("broken")
	if _, err := usesOf(seenOf(broken, all...)); !errors.Is(err, broken) {
		t.Errorf("an error was lost: %v", err)
	}
}

// list shows what records tell, 0 for a waiver that they do not name.
func TestWaiverListUses(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "waivers.yaml")
	text := "waivers:\n" +
		"  - {id: CHG-1, vendor: kaspersky, until: 2026-12-31T00:00:00Z, owner: me, reason: x}\n" +
		"  - {id: CHG-2, vendor: kaspersky, until: 2027-12-31T00:00:00Z, owner: me, reason: x}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(uses waiverUses, args ...string) (string, error) {
		var out bytes.Buffer
		cmd := newWaiver(uses)
		cmd.SetArgs(append([]string{"list", "--policy-waivers", name, "--at", "2026-11-24T00:00:00Z"}, args...))
		cmd.SetOut(&out)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	uses := func(_ context.Context, cfg *config.Config) (map[string]waiverUse, error) {
		if cfg.Policy.Waivers != name {
			t.Errorf("the configuration names %q", cfg.Policy.Waivers)
		}
		return usesOf(seenOf(nil, seen("waiver", "CHG-1", 17, time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))))
	}
	const want = `ID     STATE   FOR           PASSES     FROM  UNTIL                 USES  LAST USE              OWNER  REASON
CHG-1  active  every client  kaspersky  -     2026-12-31T00:00:00Z  17    2026-11-23T08:00:00Z  me     x
CHG-2  active  every client  kaspersky  -     2027-12-31T00:00:00Z  0     -                     me     x
`
	got, err := run(uses)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	got, err = run(uses, "--json")
	if err != nil || !strings.Contains(got, `"uses": 17,
    "last_use": "2026-11-23T08:00:00Z",`) || !strings.Contains(got, `"uses": 0,
    "last_use": null,`) {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err = run(func(context.Context, *config.Config) (map[string]waiverUse, error) { return nil, nil }); !strings.Contains(got, "no records") {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err = run(func(context.Context, *config.Config) (map[string]waiverUse, error) { return nil, errors.New("locked") }); err == nil ||
		err.Error() != "counting uses: locked" {
		t.Error(err)
	}
}

// Several that add at once wait for each other, and none is lost.
func TestWaiverAddAtOnce(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "waivers.yaml")
	const many = 8
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			var out bytes.Buffer
			args := []string{
				"waiver", "add", "--policy-waivers", name, "--at", "2026-11-24T00:00:00Z", "--vendor", "kaspersky", "--until", "1d",
				"--owner", "me", "--reason", fmt.Sprint("why ", i),
			}
			if code := run(t.Context(), args, nil, &out, &out); code != exitDone {
				t.Errorf("it ended with %d: %s", code, &out)
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range many {
		for _, part := range []string{fmt.Sprintf("id: W-2026-11-24-%d\n", i+1), fmt.Sprintf("reason: why %d\n", i)} {
			if strings.Count(string(text), part) != 1 {
				t.Errorf("not once: %q", part)
			}
		}
	}
}
