package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/audit/sqlite"
	"github.com/gracegate/gracegate/config"
)

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
	uses := func(_ context.Context, cfg *config.Config) (map[string]sqlite.Use, error) {
		if cfg.Policy.Waivers != name {
			t.Errorf("the configuration names %q", cfg.Policy.Waivers)
		}
		return map[string]sqlite.Use{"CHG-1": {Count: 17, Last: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}}, nil
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
	if got, err = run(func(context.Context, *config.Config) (map[string]sqlite.Use, error) { return nil, nil }); !strings.Contains(got, "no records") {
		t.Errorf("%v\n%s", err, got)
	}
	got, err = run(func(context.Context, *config.Config) (map[string]sqlite.Use, error) { return nil, errors.New("locked") })
	if err == nil || err.Error() != "locked" || !strings.Contains(got, "CHG-2  active") || !strings.Contains(got, "uses are not counted") {
		t.Errorf("%v\n%s", err, got)
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
