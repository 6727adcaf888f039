package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// seenFunc is a source that is a function.
type seenFunc func(since, until time.Time, vendor, site string) iter.Seq2[audit.Seen, error]

func (f seenFunc) Seen(_ context.Context, since, until time.Time, vendor, site string) iter.Seq2[audit.Seen, error] {
	return f(since, until, vendor, site)
}

var reportNow = time.Date(2024, 10, 1, 10, 20, 30, 0, time.UTC)

// refusedOnce is a flow to Kaspersky on the day after the deadline.
func refusedOnce(since, _ time.Time, _, _ string) iter.Seq2[audit.Seen, error] {
	name := host.MustParse("s01.upd.kaspersky.com")
	at := time.Date(2024, 9, 30, 12, 30, 0, 0, time.UTC)
	return func(yield func(audit.Seen, error) bool) {
		if since.After(at) {
			return
		}
		yield(audit.Seen{
			SeenKey: audit.SeenKey{
				Hour: at.Truncate(time.Hour), Client: netip.MustParseAddr("10.1.2.3"), Kind: "tunnel", Method: "CONNECT", Scheme: "https", Host: name, Port: 443,
				SNI: name, Hello: policy.HelloWithName, Vendor: "kaspersky", Channels: policy.Channels(policy.Signatures, policy.Codebase),
				Verdict: policy.Block, State: policy.Blocked, Category: "restriction", ID: "us-icts-2021-002",
			},
			First: at, Last: at, Flows: 3,
		}, nil)
	}
}

// runReport runs the command with a source, and returns what it prints, what it says of its failure, and its exit code.
func runReport(t *testing.T, source seenFunc, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	closed := false
	cmd := reportCommand(func(context.Context, *config.Config) (*openedSource, error) {
		return &openedSource{seenSource: source, close: func() error { closed = true; return nil }, uncounted: 7}, nil
	}, func() time.Time { return reportNow })
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out, problems bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&problems)
	cmd.SetArgs(append([]string{"--data-dir", t.TempDir()}, args...))
	code = report(&problems, cmd.ExecuteContext(t.Context()))
	if code == exitDone && !closed {
		t.Error("the source was not closed")
	}
	return out.String(), problems.String(), code
}

func TestReportFormats(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"text": "blocked since     2024-09-29 04:00 UTC (2024-09-29 00:00 UTC-04:00, America/New_York)",
		"md":   "| block | blocked | restriction us-icts-2021-002 | 3 | 1 |",
		"csv":  "10.1.2.3,,,10.1.2.3,,,,false,,kaspersky,signatures codebase,2024-09-30T12:30:00Z",
		"json": `"blocked": 3`,
		"html": `<p>blocked since <time datetime="2024-09-29T04:00:00Z">2024-09-29 04:00 UTC</time></p>`,
	} {
		out, problems, code := runReport(t, refusedOnce, "--format", format)
		if code != exitDone || problems != "" || !strings.Contains(out, want) {
			t.Errorf("%s: code %d, %s\n%s\nwant %s", format, code, problems, out, want)
		}
	}
}

// What is written and not counted yet is told.
func TestReportTellsWhatIsNotCounted(t *testing.T) {
	t.Parallel()
	out, problems, code := runReport(t, refusedOnce)
	if want := "7 records were written just before this report, and not counted in it yet."; code != exitDone || !strings.Contains(out, want) {
		t.Errorf("code %d, %s\n%s\nwant %s", code, problems, out, want)
	}
}

// The source is asked for whole hours, and for what the flags narrow the report to.
func TestReportPeriod(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"": "2024-09-01T10:00:00Z 2024-10-01T11:00:00Z  ",
		"--since 2024-09-29T00:00:00-04:00 --vendor kaspersky":        "2024-09-29T04:00:00Z 2024-10-01T11:00:00Z kaspersky ",
		"--at 2024-12-31T00:00:00Z --since 2024-12-30T00:00:00+05:30": "2024-12-29T18:00:00Z 2024-12-31T00:00:00Z  ",
		"--site default": "2024-09-01T10:00:00Z 2024-10-01T11:00:00Z  (default)",
		"--until 2024-03-01T00:00:00Z --at 2024-01-01T00:00:00Z":                                           "2024-01-31T00:00:00Z 2024-03-01T00:00:00Z  ",
		"--since 2024-09-29T03:59:59.999999999Z --until 2024-09-29T04:00:00.000000001Z --vendor microsoft": "2024-09-29T03:00:00Z 2024-09-29T05:00:00Z microsoft ",
	} {
		got := ""
		source := func(since, until time.Time, vendor, site string) iter.Seq2[audit.Seen, error] {
			got = since.Format(time.RFC3339Nano) + " " + until.Format(time.RFC3339Nano) + " " + vendor + " " + site
			return func(func(audit.Seen, error) bool) {}
		}
		if _, problems, code := runReport(t, source, strings.Fields(args)...); code != exitDone || got != want {
			t.Errorf("%s: %s, want %s (code %d, %s)", args, got, want, code, problems)
		}
	}
}

func TestReportRefuses(t *testing.T) {
	t.Parallel()
	broken := func(time.Time, time.Time, string, string) iter.Seq2[audit.Seen, error] {
		return func(yield func(audit.Seen, error) bool) { yield(audit.Seen{}, errors.New("the disk is wet")) }
	}
	for _, row := range []struct {
		source seenFunc
		args   string
		code   int
		want   string
	}{
		{refusedOnce, "--format pdf", exitInvalid, `error: --format "pdf" is none of the formats`},
		{refusedOnce, "--since 2024-09-29", exitInvalid, `error: --since "2024-09-29": a date without a time and an offset`},
		{refusedOnce, "--at noon", exitInvalid, `error: --at "noon": `},
		{refusedOnce, "--since 2024-10-02T00:00:00Z", exitInvalid, "error: the period from 2024-10-02T00:00:00Z until 2024-10-01T10:20:30Z is empty"},
		{refusedOnce, "--since 1800-01-01T00:00:00Z", exitInvalid, "error: the period is a hundred years or longer"},
		{refusedOnce, "--since 2024-10-01T00:00:00Z --vendor kasperski", exitInvalid, `error: the record has nothing of a vendor "kasperski", and neither has the catalogue
hint: did you mean "kaspersky"?`},
		{refusedOnce, "--since 2024-10-01T00:00:00Z --site bostn", exitInvalid, "hint: known are default"},
		{refusedOnce, "--policy-file /nowhere/policy.yaml", exitInvalid, `error: policy file "/nowhere/policy.yaml"`},
		{refusedOnce, "--output /nowhere/report.html", exitFailed, "hint: --output names a file that can be written"},
		{refusedOnce, "--output " + os.DevNull, exitInvalid, "is no regular file"},
		{broken, "", exitFailed, "error: the record could not be read: the disk is wet"},
	} {
		out, problems, code := runReport(t, row.source, strings.Fields(row.args)...)
		if code != row.code || out != "" || !strings.Contains(problems, row.want) {
			t.Errorf("%s: code %d, %q, want %d, %q", row.args, code, problems, row.code, row.want)
		}
	}
}

// A file is replaced by the whole report, or stays as it was; nothing is left beside it.
func TestReportOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "report.html")
	for range 2 {
		if out, problems, code := runReport(t, refusedOnce, "--format", "html", "--output", name); code != exitDone || out != "" {
			t.Fatal(code, out, problems)
		}
	}
	first, err := os.ReadFile(name)
	if err != nil || !bytes.HasPrefix(first, []byte("<!DOCTYPE html>")) || !bytes.HasSuffix(first, []byte("</html>\n")) {
		t.Fatalf("%.100s, %v", first, err)
	}
	if _, _, code := runReport(t, refusedOnce, "--policy-file", "/nowhere", "--output", name); code != exitInvalid {
		t.Fatal(code)
	}
	again, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(first, again) {
		t.Error("a report that failed changed the file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm()&fs.FileMode(0o077) != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
