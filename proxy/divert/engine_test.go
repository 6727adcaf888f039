package divert_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dop251/goja"
)

// helpers are the standard functions, as far as the text uses them. The ones that ask the DNS are traps.
const helpers = `
function isPlainHostName(host) { return host.indexOf(".") < 0; }
function dnsDomainIs(host, domain) {
  return host.length >= domain.length && host.substring(host.length - domain.length) === domain;
}
function dnsResolve(host) { throw new Error("looks up " + host); }
var isInNet = dnsResolve, isResolvable = dnsResolve, dnsResolveEx = dnsResolve, isInNetEx = dnsResolve;
`

// evaluate has a PAC file evaluated, and returns its function.
func evaluate(tb testing.TB, text string) (find func(url, host string) (string, error)) {
	tb.Helper()
	vm := goja.New()
	if _, err := vm.RunString(helpers + text); err != nil {
		tb.Fatal(err)
	}
	if err := vm.ExportTo(vm.Get("FindProxyForURL"), &find); err != nil {
		tb.Fatal(err)
	}
	return find
}

// ask has a PAC file asked about hosts.
func ask(t *testing.T, text string, hosts []string) []string {
	t.Helper()
	find := evaluate(t, text)
	answers := make([]string, len(hosts))
	for i, h := range hosts {
		var err error
		if answers[i], err = find("https://"+h+":8443/", h); err != nil {
			t.Fatalf("%s: %v", h, err)
		}
	}
	return answers
}

// askOld is ask for an engine as old as any that is in use: pacparser's is SpiderMonkey 1.7, of ECMAScript 3. The helpers are its
// own.
func askOld(t *testing.T, text string, hosts []string) []string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, which has the module
	if err := exec.CommandContext(t.Context(), python, "-c", "import pacparser").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3-pacparser is not installed")
		}
		t.Skip("no old engine here to run the text: python3-pacparser is not installed")
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", `
import json, pacparser, sys
text, hosts = json.load(sys.stdin)
pacparser.init()
pacparser.parse_pac_string(text)
print(json.dumps([pacparser.find_proxy("https://" + h + ":8443/", h) for h in hosts]))
`)
	question, err := json.Marshal([]any{text, hosts})
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = bytes.NewReader(question)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pacparser: %v\n%s", err, stderr.String())
	}
	var answers []string
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
