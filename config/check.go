package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gracegate/gracegate/policy/host"
)

// check returns what is wrong between settings that are right one by one. A rule is left out where a key of its own
// failed already.
func (c *Config) check(failed map[string]bool, flags *pflag.FlagSet) Errors {
	var problems Errors
	for _, rule := range rules {
		skip := slices.ContainsFunc(rule.keys, func(key string) bool { return failed[key] })
		if skip || rule.needs != "" && flags.Lookup(lookup(rule.needs).flag()) == nil {
			continue
		}
		for _, p := range rule.check(c) {
			p.Key = rule.keys[0]
			p.Where = c.origins[p.Key]
			problems = append(problems, p)
		}
	}
	return problems
}

// rules are checked in this order. A problem is reported at the first of its keys.
var rules = []struct {
	keys  []string
	needs string // a setting whose flag the command must take, or the rule is none of its business
	check func(*Config) Errors
}{
	{keys: []string{"listen.proxy"}, check: checkProxyAddrs},
	{keys: []string{"listen.socks", "listen.proxy"}, check: checkSOCKSAddrs},
	{keys: []string{"listen.transparent", "listen.proxy", "listen.socks"}, check: checkTransparentAddrs},
	{keys: []string{"listen.admin", "listen.proxy", "listen.socks", "listen.transparent"}, check: checkAdminAddr},
	{keys: []string{"listen.proxy-protocol"}, check: checkBalancers},
	{keys: []string{"listen.admin", "admin.hosts", "admin.token-file"}, check: checkAdminOpen},
	{keys: []string{"admin.token-file"}, needs: "admin.token-file", check: checkToken},
	{keys: []string{"upstream.hosts"}, check: checkUpstreamHosts},
	{keys: []string{"upstream.parent", "listen.proxy"}, check: checkParent},
	{keys: []string{"upstream.parent-auth", "upstream.parent"}, check: checkParentAuth},
	{keys: []string{"policy.catalog-only", "policy.catalog"}, check: checkCatalogOnly},
	{keys: []string{"policy.bundle", "policy.keys"}, check: checkBundleKeys},
	{keys: []string{"policy.file", "policy.bundle"}, check: besideBundle(func(c *Config) string { return c.Policy.File })},
	{keys: []string{"policy.catalog", "policy.bundle"}, check: besideBundle(func(c *Config) string { return c.Policy.Catalog })},
	{keys: []string{"policy.catalog-only", "policy.bundle"}, check: besideBundle(catalogOnlySet)},
	{keys: []string{"clock.rate", "clock.at"}, check: checkClockRate},
	{keys: []string{"audit.squid", "audit.file"}, check: checkRecordFiles},
}

func checkProxyAddrs(c *Config) Errors {
	if len(c.Listen.Proxy)+len(c.Listen.SOCKS)+len(c.Listen.Transparent) == 0 {
		return Errors{{Message: "no address to listen on", Hint: "name one such as 127.0.0.1:3128"}}
	}
	return checkTwice(c.Listen.Proxy)
}

func checkSOCKSAddrs(c *Config) Errors {
	problems := checkTwice(c.Listen.SOCKS)
	for _, a := range c.Listen.SOCKS {
		problems = append(problems, checkShared(a, "listen.proxy", c.Listen.Proxy)...)
	}
	return problems
}

func checkTransparentAddrs(c *Config) Errors {
	problems := checkTwice(c.Listen.Transparent)
	for _, a := range c.Listen.Transparent {
		problems = slices.Concat(problems, checkShared(a, "listen.proxy", c.Listen.Proxy), checkShared(a, "listen.socks", c.Listen.SOCKS))
	}
	return problems
}

func checkAdminAddr(c *Config) Errors {
	return slices.Concat(checkShared(c.Listen.Admin, "listen.proxy", c.Listen.Proxy), checkShared(c.Listen.Admin, "listen.socks", c.Listen.SOCKS),
		checkShared(c.Listen.Admin, "listen.transparent", c.Listen.Transparent))
}

// checkTwice finds what stands more than once in a list.
func checkTwice(list []string) (problems Errors) {
	for i, a := range list {
		if !picksPort(a) && slices.Contains(list[:i], a) {
			problems = append(problems, Problem{Value: a, Message: "the address " + quote(a) + " stands twice"})
		}
	}
	return problems
}

// checkShared finds an address in the list of another setting.
func checkShared(a, setting string, list []string) Errors {
	if a == "" || picksPort(a) || !slices.Contains(list, a) {
		return nil
	}
	return Errors{{Value: a, Message: "the address " + quote(a) + " is in " + setting + " too", Hint: "the two need ports of their own"}}
}

// checkBalancers refuses the prefix of everybody: whoever is a load balancer says who the client is.
func checkBalancers(c *Config) (problems Errors) {
	for _, p := range c.Listen.ProxyProtocol {
		if p.Bits() == 0 {
			problems = append(problems, Problem{
				Value: p.String(), Message: quote(p.String()) + " is everybody, and each could pass for any client", Hint: "name the addresses of the load balancers",
			})
		}
	}
	return problems
}

func checkAdminOpen(c *Config) Errors {
	if c.Listen.Admin == "" {
		return nil
	}
	if err := c.Admin.MayListen(c.Listen.Admin); err != nil {
		p, _ := errors.AsType[Problem](err)
		return Errors{p}
	}
	return nil
}

// MayListen returns an error, a [Problem], if the admin listener must not be reached on this HOST:PORT: one that is not
// loopback needs known hosts and a token.
func (a Admin) MayListen(listen string) error {
	var missing []string
	if len(a.Hosts) == 0 {
		missing = append(missing, "admin.hosts")
	}
	if a.TokenFile == "" {
		missing = append(missing, "admin.token-file")
	}
	if isLoopback(listen) || len(missing) == 0 {
		return nil
	}
	return Problem{
		Key: "listen.admin", Value: listen,
		Message: fmt.Sprintf("%s is not loopback and needs %s", quote(listen), strings.Join(missing, " and ")),
		Hint:    "or listen on 127.0.0.1",
	}
}

func checkToken(c *Config) Errors {
	if _, err := c.Admin.Token(); err != nil {
		p, _ := errors.AsType[Problem](err)
		return Errors{p}
	}
	return nil
}

func checkUpstreamHosts(c *Config) (problems Errors) {
	type destination struct {
		name host.Name
		port uint16
	}
	seen := make(map[destination]bool)
	for _, h := range c.Upstream.Hosts {
		d := destination{h.Name, h.Port}
		if seen[d] {
			name := host.Join(h.Name, h.Port)
			problems = append(problems, Problem{Value: name, Message: "the name " + quote(name) + " stands twice"})
		}
		seen[d] = true
	}
	return problems
}

func checkCatalogOnly(c *Config) Errors {
	if !c.Policy.CatalogOnly || c.Policy.Catalog != "" || c.Policy.Bundle != "" {
		return nil
	}
	return Errors{{Value: "true", Message: "true without policy.catalog leaves no catalogue at all", Hint: "set policy.catalog"}}
}

func checkClockRate(c *Config) Errors {
	if c.Clock.Rate == 1 || !c.Clock.At.IsZero() {
		return nil
	}
	rate := number.format(c.Clock.Rate)
	return Errors{{Value: rate, Message: rate + " needs clock.at: real time runs at 1", Hint: "set clock.at"}}
}

func checkRecordFiles(c *Config) Errors {
	squid, file := c.Audit.Squid, c.Audit.File
	if squid == "" || file == "" || squid != file && filepath.Clean(squid) != filepath.Clean(file) {
		return nil
	}
	return Errors{{
		Value: squid, Message: quote(squid) + " is audit.file too, and would mix two kinds of lines",
		Hint: "name two files, or set audit.file to nothing",
	}}
}

func picksPort(listen string) bool {
	_, port, _ := net.SplitHostPort(listen)
	return port == "0"
}

// Token reads the token of the admin listener; "" if no file is set. The file must be regular, of at most 4 KiB, without
// any permission for group or others, and hold one line that is not empty; space around it does not count. The error
// is a [Problem] and never shows the token.
func (a Admin) Token() (string, error) {
	if a.TokenFile == "" {
		return "", nil
	}
	text, bad := readPrivate(a.TokenFile)
	token := bytes.TrimSpace(text)
	switch {
	case bad != nil:
	case len(token) == 0:
		bad = &wrong{"is empty", "put a random token into it"}
	case bytes.ContainsAny(token, " \t\r\n"):
		bad = &wrong{"holds more than one word", "it holds the token alone"}
	default:
		return string(token), nil
	}
	p := bad.of("", a.TokenFile)
	p.Key = "admin.token-file"
	return "", p
}

const maxPrivate = 4096

// readPrivate reads a small file that only its owner can use.
func readPrivate(name string) ([]byte, *wrong) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &wrong{"cannot be read: " + rootCause(err), ""}
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, &wrong{"cannot be read: " + rootCause(err), ""}
	case !info.Mode().IsRegular():
		return nil, &wrong{"is not a regular file", ""}
	case info.Mode().Perm()&0o077 != 0:
		return nil, &wrong{fmt.Sprintf("can be used by others: its mode is %04o", info.Mode().Perm()), "chmod 600 it"}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPrivate+1))
	switch {
	case err != nil:
		return nil, &wrong{"cannot be read: " + rootCause(err), ""}
	case len(text) > maxPrivate:
		return nil, &wrong{"is larger than 4 KiB", "it holds one line"}
	}
	return text, nil
}
