package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestParentURLs(t *testing.T) {
	t.Parallel()
	check(t, parentURL, texts{
		"http://proxy.example:3128": "http://proxy.example:3128", "http://PROXY.example.:3128/": "http://proxy.example:3128",
		"http://192.0.2.1:1": "http://192.0.2.1:1", "http://[::1]:65535": "http://[::1]:65535", "http://bücher.example:80": "http://xn--bcher-kva.example:80",
		"proxy.example:3128": "", "http://proxy.example": "", "http://proxy.example:0": "", "http://proxy.example:65536": "", "http://:3128": "",
		"http://proxy.example:3128/pac": "", "http://proxy.example:3128?": "http://proxy.example:3128", "http://proxy.example:3128?a": "", "http://proxy.example:3128#a": "",
		"https://proxy.example:443": "", "socks5://proxy.example:1080": "", "http://u:p@proxy.example:3128": "", "http://@proxy.example:3128": "", "http://127.1:3128": "",
	})
	check(t, secretPlace, texts{
		"file:/a": "file:/a", "/a": "file:/a", "a/b": "file:a/b", "file:env:a": "file:env:a", "file:C:\\a": "file:C:\\a", "env:A_1": "env:A_1",
		"env:": "", "env:1": "", "env:A B": "", "env:GRACEGATE_PARENT": "", "file:": "", "user:password": "", "https://vault/a": "", "file:a\x00": "",
	})
}

// What may be a secret is shown nowhere, whatever is wrong with it.
func TestSecretsInTheWrongPlaceAreNotShown(t *testing.T) {
	t.Parallel()
	for key, values := range map[string][]string{
		"upstream.parent":      {"http://gate:s3cret@proxy.example:3128", "gate:s3cret@proxy.example:3128", "http://gate:s3cret%@proxy:1", "//s3cret@", "http://a:3128/@s3cret"},
		"upstream.parent-auth": {"gate:s3cret", "gate:s3cret@x", "env:s3cret word", "env:GRACEGATE_s3cret", "file:s3cret\x00"},
	} {
		for _, value := range values {
			for _, problem := range lookup(key).take(&Config{}, node(value), source{name: "x.yaml", isFile: true}) {
				if strings.Contains(problem.Error()+problem.Value, "s3cret") {
					t.Errorf("%s: %q: %v", key, value, problem)
				}
			}
		}
	}
}

func TestParentLogin(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return inFile + name
	}
	t.Setenv("PARENT_LOGIN", "gate:s3cret of the environment")
	t.Setenv("PARENT_BAD", "s3cret")
	for _, c := range []struct{ place, user, password, message string }{
		{"", "", "", ""},
		{write("good", "gate:s3cret: with a blank \n", 0o600), "gate", "s3cret: with a blank ", ""},
		{write("crlf", "gate:\r\n", 0o400), "gate", "", ""},
		{"env:PARENT_LOGIN", "gate", "s3cret of the environment", ""},
		{"env:PARENT_BAD", "", "", "does not hold user:password"},
		{"env:PARENT_NONE", "", "", "names a variable that is not set"},
		{inFile + filepath.Join(dir, "none"), "", "", "cannot be read: no such file or directory"},
		{inFile + dir, "", "", "is not a regular file"},
		{write("wide", "gate:s3cret", 0o640), "", "", "can be used by others: its mode is 0640"},
		{write("nobody", ":s3cret", 0o600), "", "", "does not hold user:password"},
		{write("empty", "", 0o600), "", "", "does not hold user:password"},
		{write("two", "gate:s3cret\nmore:s3cret\n", 0o600), "", "", "holds more than one line, or a control character"},
		{write("large", "gate:"+strings.Repeat("s3cret", 1000), 0o600), "", "", "is larger than 4 KiB"},
	} {
		user, password, err := Upstream{ParentAuth: c.place}.ParentLogin()
		if user != c.user || password != c.password || (err != nil) != (c.message != "") {
			t.Errorf("%s: %q, %q, %v", c.place, user, password, err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.message) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v, want %q", c.place, err, c.message)
		}
	}
}

func TestParentThatIsThisGateway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		parent, listen string
		same           bool
	}{
		{"http://127.0.0.1:3128", "127.0.0.1:3128", true},
		{"http://localhost:3128", "127.0.0.1:3128", true},
		{"http://127.0.0.2:3128", ":3128", true},
		{"http://[::1]:3128", "0.0.0.0:3128", true},
		{"http://localhost:3128", "[::]:3128", true},
		{"http://192.0.2.1:3128", "192.0.2.1:3128", true},
		{"http://192.0.2.1:3128", ":3128", false}, // which only the interfaces tell
		{"http://127.0.0.1:3129", "127.0.0.1:3128", false},
		{"http://127.0.0.1:3128", "127.0.0.2:3128", false},
		{"http://proxy.example:3128", "127.0.0.1:3128", false},
	} {
		p, bad := parseParent(c.parent)
		if bad != nil {
			t.Fatal(bad)
		}
		if got := len(checkParent(&Config{Listen: Listen{Proxy: []string{c.listen}}, Upstream: Upstream{Parent: p}})) > 0; got != c.same {
			t.Errorf("%s and %s: %v", c.parent, c.listen, got)
		}
	}
}

func node(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }
