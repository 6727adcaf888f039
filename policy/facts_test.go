package policy

import "testing"

// TestCleanPathRefusesTwoReadings: a path that an origin could take for another one than the policy is not judged at all.
func TestCleanPathRefusesTwoReadings(t *testing.T) {
	for raw, want := range map[string]string{
		"/v6/../u.xml?a=//..":         "/u.xml",
		"/v6//u.xml":                  "/v6/u.xml",
		"/v6%2fu.xml":                 "/v6/u.xml",
		"/a/%2e%2E/%41":               "/A",
		"/a/b..c//d":                  "/a/b..c/d",
		"/index":                      "/index",
		"/v6//../u.xml":               "",
		"/v6/%2f../u.xml":             "",
		"/v6/a.cgi/..%2f..%2f..%2fx":  "",
		"/v6%2F..%2Fx":                "",
		"/v6%2f%2e%2e/x":              "",
		"/v6/%0d/../index/u1313g.xml": "",
	} {
		got, ok := cleanPath(raw)
		if got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %t, want %q", raw, got, ok, want)
		}
	}
}
