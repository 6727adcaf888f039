package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// list is a list as Redacted shows it.
func list(items ...any) []any { return append([]any{}, items...) }

// spelled is a setting with a value for each place where it can be set, and what Redacted shows of each. The flag's is
// never the default.
type spelled struct {
	key, file, env, flag             string
	byDefault, inFile, inEnv, asFlag any
}

// everySetting returns a row for each; the token files in it exist.
func everySetting() []spelled {
	f, e, g := filepath.Join(tokenDir, "f"), filepath.Join(tokenDir, "e"), filepath.Join(tokenDir, "g")
	return []spelled{
		{
			"listen.proxy", `["[::1]:3128", ":0"]`, "10.0.0.1:80", "localhost:81, 10.0.0.2:81",
			list("127.0.0.1:3128"), list("[::1]:3128", ":0"), list("10.0.0.1:80"), list("localhost:81", "10.0.0.2:81"),
		},
		{"listen.socks", `["[::1]:1080", ":0"]`, "10.0.0.1:1080", "localhost:1081", list(), list("[::1]:1080", ":0"), list("10.0.0.1:1080"), list("localhost:1081")},
		{"listen.transparent", `["10.0.0.1:3129"]`, ":3129,[::]:3130", "[::1]:3131", list(), list("10.0.0.1:3129"), list(":3129", "[::]:3130"), list("[::1]:3131")},
		{"listen.admin", `""`, "[::1]:1", "127.0.0.2:2", "127.0.0.1:9128", "", "[::1]:1", "127.0.0.2:2"},
		{
			"listen.proxy-protocol", `[10.0.0.0/8, "::1"]`, "192.0.2.1", "::ffff:192.0.2.1,2001:db8::/32",
			list(), list("10.0.0.0/8", "::1/128"), list("192.0.2.1/32"), list("192.0.2.1/32", "2001:db8::/32"),
		},
		{"admin.hosts", `[Gate.Example.]`, "a.example,192.0.2.1", "b.example", list(), list("gate.example"), list("a.example", "192.0.2.1"), list("b.example")},
		{"admin.token-file", f, e, g, "", f, e, g},
		{"admin.pprof", "true", "false", "true", false, true, false, true},
		{
			"clients.allow", `[on-link, "::ffff:10.0.0.0/104"]`, "loopback,192.0.2.1", "", list("loopback", "private", "on-link"),
			list("on-link", "10.0.0.0/8"), list("loopback", "192.0.2.1/32"), list(),
		},
		{"clients.auth", "/f", "/e", "/g", "", "/f", "/e", "/g"},
		{"upstream.resolver", `"192.0.2.1:53"`, "[2001:db8::1]:53", "[::ffff:192.0.2.2]:53", "", "192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"},
		{
			"upstream.hosts", `[{name: A.example, address: "127.0.0.1:1"}]`,
			`[{"name": "b.example:80", "address": "[::1]:2"}]`, `[{"address":"127.0.0.1:3","name":"192.0.2.1"}]`,
			list(), list(map[string]any{"name": "a.example", "address": "127.0.0.1:1"}),
			list(map[string]any{"name": "b.example:80", "address": "[::1]:2"}),
			list(map[string]any{"name": "192.0.2.1", "address": "127.0.0.1:3"}),
		},
		{"upstream.allow", "[10.0.0.0/8]", "fd00::/8", "192.0.2.1,2001:db8::1", list(), list("10.0.0.0/8"), list("fd00::/8"), list("192.0.2.1/32", "2001:db8::1/128")},
		{"upstream.ports", "[8443, 8000-8010]", "1-65535", "90,91-91", list(), list("8443", "8000-8010"), list("1-65535"), list("90", "91")},
		{
			"upstream.parent", `"http://Proxy.example:3128"`, "http://192.0.2.1:8080/", "http://[2001:db8::1]:1", "",
			"http://proxy.example:3128", "http://192.0.2.1:8080", "http://[2001:db8::1]:1",
		},
		{"upstream.parent-auth", "file:/f", "env:PARENT_LOGIN", "/g", "", "file:/f", "env:PARENT_LOGIN", "file:/g"},
		{"upstream.ca-file", "/f", "/e", "/g", "", "/f", "/e", "/g"},
		{"transparent.dial", "resolve", "original", "resolve", "original", "resolve", "original", "resolve"},
		{"policy.file", "/f", "/e", "/g", "", "/f", "/e", "/g"},
		{"policy.catalog", "/f", "/e", "/g", "", "/f", "/e", "/g"},
		{"policy.catalog-only", "True", "false", "true", false, true, false, true},
		{"policy.waivers", "/f", "/e", "/g", "", "/f", "/e", "/g"},
		{"policy.bundle", "/f", "https://Example.org:8443/b", "/g", "", "/f", "https://Example.org:8443/b", "/g"},
		{"policy.keys", "[/f, " + someKey + "]", someKey, "/g", list(), list("/f", someKey), list(someKey), list("/g")},
		{
			"policy.known-at", "clock", "all", "2024-09-29T00:00:00.5-04:00",
			"all", "clock", "all", "2024-09-29T00:00:00.5-04:00",
		},
		{"policy.max-age", "0", "30d", "24h", "400d", "0", "30d", "1d"},
		{"policy.reload", "false", "TRUE", "false", true, false, true, false},
		{
			"clock.at", "2024-09-28T23:59:50-04:00", "2024-09-28T23:59:50Z", "2024-09-28T23:59:50.000000001+05:30",
			"", "2024-09-28T23:59:50-04:00", "2024-09-28T23:59:50Z", "2024-09-28T23:59:50.000000001+05:30",
		},
		{"clock.rate", "0.5", "60", "86400", 1, 0.5, 60, 86400},
		{"clock.untrusted", "block-governed", "last-good", "allow", "last-good", "block-governed", "last-good", "allow"},
		{
			"clock.check", "ntp://Time.Example.", "ntp://192.0.2.1:124", "ntp://[2001:db8::1]",
			"", "ntp://time.example:123", "ntp://192.0.2.1:124", "ntp://[2001:db8::1]:123",
		},
		{"deny.retry-after", "0", "90s", "1d", "1h", "0", "1m30s", "1d"},
		{"deny.page", "/f", "/e", "/g", "", "/f", "/e", "/g"},
		{"operator.name", "Nøtt & Sons", "e", "yes", "", "Nøtt & Sons", "e", "yes"},
		{"operator.contact", `"1984"`, "e, f", "null", "", "1984", "e, f", "null"},
		{
			"operator.url", "https://example.org", "http://example.org:8080/a?b#c", "https://example.org/a%20b>",
			"", "https://example.org", "http://example.org:8080/a?b#c", "https://example.org/a%20b%3E",
		},
		{"audit.retain", "0", "30d", "1h", "400d", "0", "30d", "1h"},
		{"audit.ungoverned", "true", "false", "true", false, true, false, true},
		{"audit.on-failure", "block", "allow", "block", "allow", "block", "allow", "block"},
		{"audit.file", `"-"`, "/e", "/g", "", "-", "/e", "/g"},
		{"audit.squid", "/f", "/e", "-", "", "/f", "/e", "-"},
		{"audit.rotate-size", "1MiB", "1024GiB", "1025KiB", "100MiB", "1MiB", "1024GiB", "1025KiB"},
		{"audit.rotate-keep", "0", "100000", "1", 10, 0, 100000, 1},
		{"audit.rotate-age", "0", "3650d", "24h", "400d", "0", "3650d", "1d"},
		{
			"audit.syslog", "udp://Log.Example.:514", "unix:///dev/log", "tls://[2001:db8::1]:6514",
			"", "udp://log.example:514", "unix:///dev/log", "tls://[2001:db8::1]:6514",
		},
		{"audit.syslog-ca-file", "/f", "/e", "/g", "", "/f", "/e", "/g"},
		{
			"devices.leases", "[/f, /g]", "/e", "/g,/e",
			[]any{},
			[]any{"/f", "/g"},
			[]any{"/e"},
			[]any{"/g", "/e"},
		},
		{"ca.dir", `""`, "/e", "g", "ca", "", "/e", "g"},
		{"data.dir", "~/f", "/e", "/g", homeDir + "/.local/state/gracegate", homeDir + "/f", "/e", "/g"},
		{"limits.connections", "0", "1000000", "1", 20000, 0, 1000000, 1},
		{"limits.per-client", "0", "1000000", "1", 2000, 0, 1000000, 1},
		{"limits.per-destination", "1", "0", "1000000", 0, 1, 0, 1000000},
		{"limits.rate", "1", "0", "1000000", 0, 1, 0, 1000000},
		{"limits.header", "1MiB", "1024B", "1025B", "64KiB", "1MiB", "1KiB", "1025B"},
		{"limits.header-count", "1", "10000", "99", 100, 1, 10000, 99},
		{"limits.hello", "10ms", "5m", "1m0.5s", "10s", "10ms", "5m", "1m0.5s"},
		{"limits.dial", "10ms", "5m", "60s", "10s", "10ms", "5m", "1m"},
		{"limits.idle", "0", "30d", "36h", "5m", "0", "30d", "36h"},
		{"limits.lifetime", "365d", "0s", "10ms", "0", "365d", "0", "10ms"},
		{"limits.drain", "0s", "24h", "90m", "30s", "0", "1d", "1h30m"},
		{"limits.memory", "1024GiB", "0B", "32MiB", "0", "1024GiB", "0", "32MiB"},
		{"log.level", "debug", "error", "warn", "info", "debug", "error", "warn"},
		{"log.format", "console", "json", "console", "json", "console", "json", "console"},
	}
}

const someKey = "RWQy1uJOiY5BRXuqgkKm9Sd1QkmxmX4/FnYKcQBDyYiIoLL6lYzzFh1A"

// alsoNeeded is what some settings need beside them.
var alsoNeeded = map[string]string{
	"clock.rate":           "--clock-at=2024-09-28T00:00:00Z",
	"policy.catalog-only":  "--policy-catalog=/c",
	"policy.bundle":        "--policy-keys=/k",
	"audit.squid":          "--audit-file=",
	"upstream.parent-auth": "--upstream-parent=http://proxy.example:3128",
}

func TestPrecedence(t *testing.T) {
	for _, tt := range everySetting() {
		t.Run(tt.key, func(t *testing.T) {
			s := lookup(tt.key)
			section, name, _ := strings.Cut(tt.key, ".")
			file := write(t, "gracegate.yaml", section+":\n  "+name+": "+tt.file+"\n")
			inFile := fmt.Sprintf("%s:2:%d", file, len("  "+name+": ")+1)
			var args []string
			if with := alsoNeeded[tt.key]; with != "" {
				args = append(args, with)
			}
			check := func(want any, origin string) {
				t.Helper()
				c, err := Load(parsed(t, args...))
				if err != nil {
					t.Fatal(err)
				}
				got := c.Redacted()[section].(map[string]any)[name]
				if diff := cmp.Diff(want, got); diff != "" || c.Origin(tt.key) != origin {
					t.Errorf("from %s, want from %s:\n%s", c.Origin(tt.key), origin, diff)
				}
			}
			check(tt.byDefault, "default")
			args = append(args, "--config", file)
			check(tt.inFile, inFile)
			t.Setenv(s.variable(), "")
			check(tt.inFile, inFile)
			t.Setenv(s.variable(), tt.env)
			check(tt.inEnv, "environment "+s.variable())
			args = append(args, "--"+s.flag()+"="+tt.flag)
			check(tt.asFlag, "flag --"+s.flag())
		})
	}
}

// Each setting has a field of its own, with the name of its key, and each field a setting.
func TestSettingsAndFields(t *testing.T) {
	t.Parallel()
	var rows []string
	for _, tt := range everySetting() {
		rows = append(rows, tt.key)
		c := Default()
		s := lookup(tt.key)
		n, bad := s.fromText(tt.flag)
		if bad != nil {
			t.Fatalf("%s: %+v", tt.key, bad)
		}
		if problems := s.take(c, n, source{}); len(problems) > 0 {
			t.Fatal(problems)
		}
		before, after := fields(Default()), fields(c)
		var changed []string
		for key := range before {
			if !reflect.DeepEqual(before[key], after[key]) {
				changed = append(changed, key)
			}
		}
		if !slices.Equal(changed, []string{tt.key}) {
			t.Errorf("%s changes the fields %q", tt.key, changed)
		}
	}
	if diff := cmp.Diff(keys(), rows); diff != "" {
		t.Errorf("settings, and rows of the test:\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(rows)), slices.Sorted(maps.Keys(fields(Default())))); diff != "" {
		t.Errorf("settings, and fields of Config:\n%s", diff)
	}
}

// fields returns the value of each field of each section, by the key that its name stands for.
func fields(c *Config) map[string]any {
	all := make(map[string]any)
	sections := reflect.ValueOf(*c)
	for section, in := range sections.Fields() {
		if !section.IsExported() {
			continue
		}
		for field, v := range in.Fields() {
			all[kebab(section.Name)+"."+kebab(field.Name)] = v.Interface()
		}
	}
	return all
}

// kebab turns TokenFile into token-file, CAFile into ca-file and URL into url.
func kebab(name string) string {
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`).ReplaceAllString(name, "$1$3-$2$4"))
}

func TestDefault(t *testing.T) {
	c, err := Load(parsed(t))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fields(Default()), fields(c)) {
		t.Errorf("Default is %+v, nothing set is %+v", Default(), c)
	}
	for _, s := range settings {
		n, bad := s.fromText(s.def)
		if bad != nil {
			t.Fatalf("%s: %+v", s.key, bad)
		}
		if problems := s.take(&Config{}, n, source{}); len(problems) > 0 {
			t.Error(problems)
		}
	}
}

func TestSettingsFile(t *testing.T) {
	inFile := func(t *testing.T, args ...string) string {
		t.Helper()
		c, err := Load(parsed(t, args...))
		if err != nil {
			t.Fatal(err)
		}
		return c.Operator.Name
	}
	text := func(name string) string { return "operator: {name: " + name + "}\n" }

	if got := inFile(t); got != "" {
		t.Errorf("without any file: %q", got)
	}
	if err := os.WriteFile(standardFiles[1], []byte(text("etc")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(standardFiles[1]); err != nil {
			t.Error(err)
		}
	})
	if got := inFile(t); got != "etc" {
		t.Errorf("with the file of the system: %q", got)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("gracegate.yaml", []byte(text("here")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := inFile(t); got != "here" {
		t.Errorf("with the file here: %q", got)
	}
	t.Setenv("GRACEGATE_CONFIG", write(t, "env.yaml", text("env")))
	if got := inFile(t); got != "env" {
		t.Errorf("with the file of the environment: %q", got)
	}
	if got := inFile(t, "--config", write(t, "flag.yaml", text("flag"))); got != "flag" {
		t.Errorf("with the file of the flag: %q", got)
	}
	if got := inFile(t, "--config", write(t, "empty.yaml", "# nothing\noperator:\n")); got != "" {
		t.Errorf("with an empty file: %q", got)
	}
}

func TestPathsAreRelativeToTheirFile(t *testing.T) {
	file := write(t, "gracegate.yaml", "policy: {file: p.yaml, catalog: ../c}\ndevices: {leases: [a, /b]}\n")
	c, err := Load(parsed(t, "--config", file, "--policy-catalog", "c"))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(file), "p.yaml"); c.Policy.File != want || c.Policy.Catalog != "c" {
		t.Errorf("file %q, want %q; catalog %q, want c", c.Policy.File, want, c.Policy.Catalog)
	}
	if want := []string{filepath.Join(filepath.Dir(file), "a"), "/b"}; !slices.Equal(c.Devices.Leases, want) {
		t.Errorf("files %q, want %q", c.Devices.Leases, want)
	}
	file = write(t, "gracegate.yaml", "policy: {bundle: site.bundle, keys: [k.pub, /l.pub, "+someKey+"]}\n")
	if c, err = Load(parsed(t, "--config", file)); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(filepath.Dir(file), "k.pub"), "/l.pub", someKey}
	if !slices.Equal(c.Policy.Keys, want) || c.Policy.Bundle != filepath.Join(filepath.Dir(file), "site.bundle") {
		t.Errorf("bundle %q; keys %q, want %q", c.Policy.Bundle, c.Policy.Keys, want)
	}
}

// A command without the flags of a group reads its settings nevertheless, except for the token file.
func TestGroups(t *testing.T) {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(flags, GroupPolicy, GroupUpstream)
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	want := []string{
		"config", "policy-bundle", "policy-catalog", "policy-catalog-only", "policy-file", "policy-keys", "policy-known-at", "policy-max-age", "policy-reload",
		"policy-waivers",
		"upstream-allow", "upstream-ca-file", "upstream-hosts", "upstream-parent", "upstream-parent-auth", "upstream-ports", "upstream-resolver",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	file := write(t, "gracegate.yaml", "admin: {token-file: none}\nlimits: {idle: 1h}\n")
	t.Setenv("GRACEGATE_LIMITS_DIAL", "2s")
	if err := flags.Parse([]string{"--config", file, "--policy-catalog=c", "--policy-catalog-only"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(flags)
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits.Idle != time.Hour || c.Limits.Dial != 2*time.Second || !c.Policy.CatalogOnly {
		t.Errorf("%+v %+v", c.Limits, c.Policy)
	}
}

func TestRepeatedFlags(t *testing.T) {
	c, err := Load(parsed(t, "--upstream-ports=1,2", "--upstream-ports", "3", "--log-level=debug", "--log-level=error"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Upstream.Ports, c.Log.Level); got != "[1 2 3]error" {
		t.Error(got)
	}
}

// Mistakes outside of the file; those in it have their own table.
func TestInvalidElsewhere(t *testing.T) {
	const objects = `(write [{"name": "...", "address": "..."}])`
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want []string
	}{
		{"no file", nil, []string{"--config=/nowhere.yaml"}, []string{"/nowhere.yaml: cannot read the settings: no such file or directory (--config names the file; gracegate config prints one to begin with)"}},
		{"directory", nil, []string{"--config=/"}, []string{"/: cannot read the settings: is a directory (--config names the file; gracegate config prints one to begin with)"}},
		{"without end", nil, []string{"--config=/dev/zero"}, []string{"/dev/zero: cannot read the settings: it is larger than 1 MiB (--config names the file; gracegate config prints one to begin with)"}},
		{
			"both sources, and only the winner's mistakes",
			map[string]string{"GRACEGATE_LIMITS_IDLE": "5", "GRACEGATE_LIMITS_DIAL": "5"},
			[]string{"--limits-dial=1s", "--limits-hello=", "--policy-reload=maybe", "--upstream-allow=10.0.0.0/8,,::/129"},
			[]string{
				`flag --upstream-allow: upstream.allow: "" is neither a prefix nor an address (write one such as 10.0.0.0/8 or 192.0.2.1)`,
				`flag --upstream-allow: upstream.allow: "::/129" is neither a prefix nor an address (write one such as 10.0.0.0/8 or 192.0.2.1)`,
				`flag --policy-reload: policy.reload: "maybe" is neither true nor false (write true or false)`,
				`flag --limits-hello: limits.hello: "" is not a duration (write one such as 250ms, 30s, 36h or 14d)`,
				`environment GRACEGATE_LIMITS_IDLE: limits.idle: "5" has no unit (write one such as 250ms, 30s, 36h or 14d)`,
			},
		},
		{
			"unknown variables, without their value",
			map[string]string{"GRACEGATE_LIMIT_IDLE": "secret", "GRACEGATE_X": "secret", "GRACEGATE_Y": ""},
			nil,
			[]string{
				"environment GRACEGATE_LIMIT_IDLE: unknown setting (did you mean GRACEGATE_LIMITS_IDLE?)",
				"environment GRACEGATE_X: unknown setting (gracegate config prints all settings)",
			},
		},
		{
			"JSON", nil,
			[]string{"--upstream-hosts=[{name: a.example}]"},
			[]string{`flag --upstream-hosts: upstream.hosts: "[{name: a.example}]" is not JSON: invalid character 'n' looking for beginning of object key string ` + objects},
		},
		{
			"JSON of another shape",
			map[string]string{"GRACEGATE_UPSTREAM_HOSTS": `[{"name": "a.example", "name": 5}, []]`},
			nil,
			[]string{
				`environment GRACEGATE_UPSTREAM_HOSTS: upstream.hosts[0]: key "name" stands twice`,
				`environment GRACEGATE_UPSTREAM_HOSTS: upstream.hosts[0]: "address" is missing ` + objects,
				`environment GRACEGATE_UPSTREAM_HOSTS: upstream.hosts[1]: wants a mapping, not a list ` + objects,
			},
		},
		{
			"a rule at its first key", nil,
			[]string{"--clock-rate=2", "--listen-admin=:0"},
			[]string{
				`flag --listen-admin: listen.admin: ":0" is not loopback and needs admin.hosts and admin.token-file (or listen on 127.0.0.1)`,
				`flag --clock-rate: clock.rate: 2 needs clock.at: real time runs at 1 (set clock.at)`,
			},
		},
		{
			"no rule on what failed", nil,
			[]string{"--clock-rate=2", "--clock-at=EST"},
			[]string{`flag --clock-at: clock.at: "EST" has the zone EST, which is ambiguous (write it like 2024-09-29T00:00:00-04:00)`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, text := range tt.env {
				t.Setenv(name, text)
			}
			_, err := Load(parsed(t, tt.args...))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What Kubernetes and Docker set beside a service named gracegate is no setting.
func TestServiceLinks(t *testing.T) {
	t.Parallel()
	links := []string{
		"GRACEGATE_SERVICE_HOST=10.0.0.1", "GRACEGATE_SERVICE_PORT=3128", "GRACEGATE_SERVICE_PORT_PROXY=3128",
		"GRACEGATE_PORT=tcp://10.0.0.1:3128", "GRACEGATE_PORT_3128_TCP=tcp://10.0.0.1:3128",
		"GRACEGATE_PORT_3128_TCP_ADDR=10.0.0.1", "GRACEGATE_PORT_3128_TCP_PORT=3128", "GRACEGATE_PORT_3128_TCP_PROTO=tcp",
	}
	if problems := unknownVariables(links); len(problems) > 0 {
		t.Error(problems)
	}
	if problems := unknownVariables([]string{"GRACEGATE_PORTS=1", "GRACEGATE_SERVICE=1"}); len(problems) != 2 {
		t.Error(problems)
	}
}
