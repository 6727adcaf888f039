package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/certs"
	"github.com/gracegate/gracegate/policy/host"
)

func TestDoctorOnCA(t *testing.T) {
	t.Parallel()
	ours, other := host.MustParse("ours.example"), host.MustParse("other.example")
	for name, c := range map[string]struct {
		zone  host.Name
		ago   time.Duration // when it was made
		harm  func(dir string) error
		want  string
		needs int // the user that the test needs to be, or -1
	}{
		"in force":    {zone: ours, want: "ok: is in force until ", needs: -1},
		"not covered": {zone: other, want: "warn: does not cover 1 name that the policy could block, such as ours.example\nfix: gracegate ca renew", needs: -1},
		"due":         {zone: ours, ago: 350 * 24 * time.Hour, want: "warn: ends on ", needs: -1},
		"ended":       {zone: ours, ago: 400 * 24 * time.Hour, want: "fail: the CA has ended: ", needs: -1},
		"a key for all": {zone: ours, harm: func(dir string) error {
			return os.Chmod(filepath.Join(dir, "intermediate.key"), 0o644)
		}, want: "fail: DIR/intermediate.key: has the mode 0644: others could read the key\nfix: chmod 600 DIR/intermediate.key", needs: -1},
		"half of it": {zone: ours, harm: func(dir string) error {
			return os.Remove(filepath.Join(dir, "intermediate.pem"))
		}, want: "fail: DIR/intermediate.pem: ", needs: -1},
		"of another user": {zone: ours, harm: func(dir string) error {
			return os.Chown(filepath.Join(dir, "intermediate.key"), 65532, 65532)
		}, want: "skip: belongs to user 65532, who alone may read it\nfix: run doctor as user 65532", needs: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.needs >= 0 && os.Geteuid() != c.needs {
				t.Skip("only root gives files away")
			}
			dir := filepath.Join(t.TempDir(), "ca")
			if _, err := (certs.Store{Dir: dir}).Init([]host.Name{c.zone}, time.Now().Add(-c.ago)); err != nil {
				t.Fatal(err)
			}
			if c.harm != nil {
				if err := c.harm(dir); err != nil {
					t.Fatal(err)
				}
			}
			m := newPatient(t, "redirect.txtar").machine(t)
			m.uid = os.Geteuid()
			x := newExamination(m, settings(t, "--policy-file=testdata/doctor/path.yaml", "--ca-dir="+dir))
			f := checkCA(x)
			got := strings.ReplaceAll(string(f.Status)+": "+f.Message+"\nfix: "+f.Fix, dir, "DIR")
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
