package audit

import "strings"

// withoutSecrets returns a URL without user information, query and fragment, where people put passwords and tokens, and
// whether there was a query. It works on any text, since a record must never fail, and rather drops too much: an @ in
// front of the path ends user information wherever a lenient client could see one.
func withoutSecrets(url string) (clean string, hadQuery bool) {
	clean = url
	if i := strings.IndexAny(clean, "?#"); i >= 0 {
		hadQuery = clean[i] == '?'
		clean = clean[:i]
	}
	start := authorityStart(clean)
	authority := clean[start:]
	if i := strings.IndexAny(authority, `/\`); i >= 0 {
		authority = authority[:i]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		clean = clean[:start] + clean[start+i+1:]
	}
	return clean, hadQuery
}

// authorityStart is where the host, or the user information before it, begins: behind "scheme:" and any number of
// slashes. A path of its own ("/@scope/name") has no authority; then it is the length of url.
func authorityStart(url string) int {
	start := schemeEnd(url)
	slashes := len(url[start:]) - len(strings.TrimLeft(url[start:], `/\`))
	if start == 0 && slashes == 1 {
		return len(url)
	}
	return start + slashes
}

// schemeEnd is the index behind "scheme:", or 0 if there is none. "user:password@host" has none.
func schemeEnd(url string) int {
	end := strings.IndexAny(url, `:/\`) + 1
	if end < 2 || url[end-1] != ':' || end == len(url) || url[end] != '/' && url[end] != '\\' {
		return 0
	}
	return end
}
