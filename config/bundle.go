package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy/host"
)

// bundlePlace is the path of a bundle, or the URL from which it is fetched.
var bundlePlace = scalar[string]{
	name: "a path or an https:// URL", word: "path", tags: asText,
	parse:  parseBundlePlace,
	hides:  func(s string) bool { return strings.ContainsRune(s, '@') && strings.Contains(s, "://") }, // a password may stand before it
	format: anyText.format,
}

func parseBundlePlace(s string) (string, *wrong) {
	const hint = "write a path, or one such as https://policy.example.org/site.bundle"
	if !strings.Contains(s, "://") {
		return fileName.parse(s)
	}
	u, err := url.Parse(s)
	switch {
	case strings.HasPrefix(s, "http://"):
		return "", &wrong{"is not https: whoever is in between could hold a new policy back", "write https://"}
	case err == nil && u.User != nil:
		return "", &wrong{"holds a user", "serve bundles to everybody who can reach the server: they are signed, and hold no secret"}
	case err != nil || u.Scheme != "https" || u.Fragment != "":
		return "", &wrong{"is neither a path nor an https:// URL", hint}
	}
	if _, _, err := host.ParseAuthority(u.Host); err != nil {
		return "", &wrong{"is no URL: " + reason(err), hint}
	}
	return u.String(), nil
}

// BundleURL tells whether policy.bundle is a URL rather than a path.
func (p *Policy) BundleURL() bool { return isURL(p.Bundle) }

func isURL(s string) bool { return strings.Contains(s, "://") }

// pathOrURL is a path, or a URL, which is relative to nothing.
type pathOrURL struct{ path }

func (p pathOrURL) read(c *Config, n *yaml.Node, in source) Errors {
	if isURL(n.Value) {
		return p.one.read(c, n, in)
	}
	return p.path.read(c, n, in)
}

func (p pathOrURL) write(c *Config) *yaml.Node {
	if isURL(*p.field(c)) {
		return p.writeNode(*p.field(c))
	}
	return p.path.write(c)
}

// IsKey tells an item of policy.keys that is a key of minisign, and no path.
func IsKey(s string) bool { return keyShape.MatchString(s) }

var keyShape = regexp.MustCompile(`^RW[A-Za-z0-9+/]{54}$`)

// keysOrPaths is a list of keys, and of files that have one.
type keysOrPaths struct{ paths }

func (k keysOrPaths) read(c *Config, n *yaml.Node, in source) Errors {
	problems := k.many.read(c, n, in)
	for i, name := range *k.field(c) {
		if len(problems) == 0 && in.isFile && !IsKey(name) && !filepath.IsAbs(name) {
			(*k.field(c))[i] = filepath.Join(filepath.Dir(in.name), name)
		}
	}
	return problems
}

func (k keysOrPaths) write(c *Config) *yaml.Node {
	list := k.paths.write(c)
	for i, name := range *k.field(c) {
		if IsKey(name) {
			list.Content[i] = k.writeNode(name)
		}
	}
	return list
}

// checkBundleKeys refuses a bundle that nobody may sign.
func checkBundleKeys(c *Config) Errors {
	if c.Policy.Bundle == "" || len(c.Policy.Keys) > 0 {
		return nil
	}
	return Errors{{Value: c.Policy.Bundle, Message: quote(c.Policy.Bundle) + " needs policy.keys: without a key, no bundle can be trusted", Hint: "name the public keys of those who may sign; gracegate bundle keygen makes a pair"}}
}

// besideBundle refuses what a bundle brings along.
func besideBundle(set func(*Config) string) func(*Config) Errors {
	return func(c *Config) Errors {
		value := set(c)
		if c.Policy.Bundle == "" || value == "" {
			return nil
		}
		return Errors{{Value: value, Message: quote(value) + " stands beside policy.bundle, which has the policy and its catalogue", Hint: "leave one of the two out; for one command, --policy-bundle \"\" does so"}}
	}
}

func catalogOnlySet(c *Config) string {
	if c.Policy.CatalogOnly {
		return "true"
	}
	return ""
}
