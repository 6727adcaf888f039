package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDataDir(t *testing.T) {
	file := write(t, "gracegate.yaml", "data: {dir: kept}\n")
	for name, tt := range map[string]struct {
		args        []string
		state, want string
		home        string // other than homeDir
		homeless    bool
	}{
		"nothing set":               {want: filepath.Join(homeDir, ".local/state/gracegate")},
		"without a home":            {homeless: true, want: "/var/lib/gracegate"},
		"at home in the root":       {home: "/", want: "/var/lib/gracegate"},
		"set, at home in the root":  {args: []string{"--data-dir=~/d"}, home: "/", want: "/d"},
		"systemd's":                 {state: "/var/lib/one", want: "/var/lib/one"},
		"systemd's, without a home": {state: "/var/lib/one", homeless: true, want: "/var/lib/one"},
		"the first of systemd's":    {state: "/var/lib/one:/var/lib/two", want: "/var/lib/one"},
		"systemd's, not absolute":   {state: "one", want: filepath.Join(homeDir, ".local/state/gracegate")},
		"set":                       {args: []string{"--data-dir=/d"}, state: "/var/lib/one", want: "/d"},
		"set, from here":            {args: []string{"--data-dir=d"}, want: "d"},
		"set, at home":              {args: []string{"--data-dir=~/d/e"}, state: "/var/lib/one", want: filepath.Join(homeDir, "d/e")},
		"set to home":               {args: []string{"--data-dir=~"}, want: homeDir},
		"no home of others":         {args: []string{"--data-dir=~d"}, want: "~d"},
		"in the file":               {args: []string{"--config", file}, state: "/var/lib/one", want: filepath.Join(filepath.Dir(file), "kept")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(stateVariable, tt.state)
			if tt.homeless || tt.home != "" {
				t.Setenv("HOME", tt.home)
			}
			c, err := Load(parsed(t, tt.args...))
			if err != nil || c.Data.Dir != tt.want {
				t.Errorf("%+v, %v; want %s", c, err, tt.want)
			}
		})
	}
}

func TestDataDirRefused(t *testing.T) {
	for name, tt := range map[string]struct{ arg, want string }{
		"nothing": {"--data-dir=", `flag --data-dir: data.dir: no directory (name one such as /var/lib/gracegate)`},
		"no home": {"--data-dir=~/d", `flag --data-dir: data.dir: "~/d" is in no home directory: this user has none (write the whole path)`},
		"NUL":     {"--data-dir=a\x00b", `flag --data-dir: data.dir: "a\x00b" has a NUL character`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", "")
			if _, err := Load(parsed(t, tt.arg)); err == nil || err.Error() != tt.want {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestCADir(t *testing.T) {
	for dir, want := range map[string]string{
		"": "", "ca": "/d/ca", "../ca": "/ca", "/etc/gracegate/ca": "/etc/gracegate/ca",
	} {
		c, err := Load(parsed(t, "--data-dir=/d", "--ca-dir="+dir))
		if err != nil || c.CADir() != want {
			t.Errorf("ca.dir %q: %v, %v; want %q", dir, c.CADir(), err, want)
		}
	}
	// Of a file, too, it is relative to the data, not to the file.
	c, err := Load(parsed(t, "--config", write(t, "gracegate.yaml", "ca: {dir: keys}\ndata: {dir: kept}\n")))
	if err != nil || filepath.Base(filepath.Dir(c.CADir())) != "kept" || filepath.Base(c.CADir()) != "keys" {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := os.Stat(homeDir); err == nil {
		t.Errorf("reading the settings made %s", homeDir)
	}
}
