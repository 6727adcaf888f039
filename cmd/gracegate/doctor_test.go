package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"golang.org/x/tools/txtar"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/console"
)

// patient is a machine on paper: files by name, among them what programs say, below run/.
type patient map[string]string

// newPatient reads archives, each of which replaces what those before it say.
func newPatient(t *testing.T, names ...string) patient {
	t.Helper()
	p := patient{}
	for _, name := range names {
		archive, err := txtar.ParseFile("testdata/doctor/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			p[f.Name] = string(f.Data)
		}
	}
	return p
}

// machine is the patient as a machine, of somebody who is not root. A file "-> TARGET" is a link, and "drwx------ UID" a directory
// with its owner.
func (p patient) machine(t *testing.T) *machine {
	t.Helper()
	files := fstest.MapFS{}
	for name, text := range p {
		f := &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		var mode string
		var uid int
		if target, is := strings.CutPrefix(text, "-> "); is {
			f.Data, f.Mode = []byte(strings.TrimSpace(target)), fs.ModeSymlink|0o777
		} else if n, _ := fmt.Sscanf(text, "d%9s %d", &mode, &uid); n == 2 {
			bits, err := strconv.ParseUint(strings.Map(func(r rune) rune {
				if r == '-' {
					return '0'
				}
				return '1'
			}, mode), 2, 32)
			if err != nil {
				t.Fatal(err)
			}
			f.Data, f.Mode, f.Sys = nil, fs.ModeDir|fs.FileMode(bits), ownedBy(uid)
		}
		files[name] = f
	}
	return &machine{
		system: "linux", uid: 1000, files: files, clock: stands(console.Clock{Trusted: true, State: "trusted", Kernel: "synchronised"}, nil),
		run: func(name string, args ...string) (string, error) {
			said, known := p["run/"+strings.Join(append([]string{name}, args...), " ")]
			if !known {
				return "", exec.ErrNotFound
			}
			if fault, is := strings.CutPrefix(said, "error: "); is {
				return "", errors.New(fault)
			}
			return said, nil
		},
	}
}

// stands is a clock that stands so.
func stands(s console.Clock, err error) func(*config.Config) (*console.Clock, error) {
	return func(*config.Config) (*console.Clock, error) { return &s, err }
}

// settings are those of the patients' gateway, and flags.
func settings(t *testing.T, flags ...string) *config.Config {
	t.Helper()
	set := pflag.NewFlagSet("doctor", pflag.ContinueOnError)
	config.AddFlags(set, config.AllGroups()...)
	if !strings.HasPrefix(strings.Join(flags, ""), "--listen-transparent=") {
		flags = append(flags, "--listen-transparent=:3129")
	}
	err := set.Parse(append([]string{
		"--data-dir=/var/lib/gracegate", "--ca-dir=/nonexistent",
		"--policy-file=testdata/doctor/policy.yaml", "--policy-catalog=testdata/doctor/catalog", "--policy-catalog-only",
	}, flags...))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(set)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// examine returns what doctor prints, by check.
func examine(t *testing.T, m *machine, cfg *config.Config) (found map[string]string, code int) {
	t.Helper()
	x := newExamination(m, cfg)
	x.now = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	found = map[string]string{}
	list := x.findings()
	for _, f := range list {
		text := string(f.Status) + ": " + f.Message
		if f.Fix != "" {
			text += "\nfix: " + f.Fix
		}
		if found[f.Check] != "" {
			t.Errorf("%s is checked twice", f.Check)
		}
		found[f.Check] = text
		if (f.Status == statusWarn || f.Status == statusFail) && f.Fix == "" || f.Status == statusOK && f.Fix != "" || f.Message == "" {
			t.Errorf("%+v", f)
		}
	}
	return found, report(&bytes.Buffer{}, verdictOn(list))
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			archives, want := []string{"redirect.txtar"}, []map[string]string{sound["redirect"]}
			if c.tproxy {
				archives, want = append(archives, "tproxy.txtar"), append(want, sound["tproxy"])
			}
			p := newPatient(t, archives...)
			for name, text := range c.change {
				p[name] = text
				if text == "" {
					delete(p, name)
				}
			}
			m := p.machine(t)
			if c.machine != nil {
				c.machine(m)
			}
			got, code := examine(t, m, settings(t, c.flags...))
			all := map[string]string{}
			for _, part := range append(want, c.want) {
				for check, text := range part {
					if all[check] = text; text == "" {
						delete(all, check)
					}
				}
			}
			if before, _, is := strings.Cut(got["policy"], "revision "); is {
				got["policy"] = before + "revision REVISION"
			}
			if diff := cmp.Diff(all, got); diff != "" || code != c.code {
				t.Errorf("it ends with %d, want %d (-want +got):\n%s", code, c.code, diff)
			}
		})
	}
}

func TestDoctorOutput(t *testing.T) {
	t.Parallel()
	found := []finding{
		{Check: "policy", Status: statusOK, Message: "the built-in one"},
		{Check: "port :3129", Status: statusFail, Message: "is taken by <x> (process 7)", Fix: "stop it"},
	}
	var text, asJSON bytes.Buffer
	if err := errors.Join(writeFindings(&text, found), writeJSON(&asJSON, found)); err != nil {
		t.Fatal(err)
	}
	const want = "ok    policy      the built-in one\nfail  port :3129  is taken by <x> (process 7)\n      fix: stop it\n"
	if text.String() != want {
		t.Errorf("%q", text.String())
	}
	var back []finding
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || !cmp.Equal(back, found) || !strings.Contains(asJSON.String(), "<x>") {
		t.Errorf("%v, %s", err, asJSON.String())
	}
}
