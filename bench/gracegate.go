package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What is asked of gracegate. The policy governs each of these names, except the free one.
const (
	plainHost  = refusedHost
	tlsHost    = serverName
	blobHost   = "s02.upd.kaspersky.com" // its hello says serverName, which is governed alike
	exemptHost = "opentip.kaspersky.com"
	freeHost   = "free.example"
)

// The policy clock: in the grace period, and after the deadline.
const (
	inGrace = "2024-08-01T00:00:00-04:00"
	after   = "2024-10-01T00:00:00-04:00"
)

// gateway is one gracegate to start.
type gateway struct {
	name, binary, at string
	policy, catalog  string // files of its own; empty are the built-in ones
}

func (g gateway) start(ctx context.Context, st *stage, address string) (*server, error) {
	type host struct {
		Name    string `json:"name"`
		Address string `json:"address"`
	}
	hosts, err := json.Marshal([]host{
		{plainHost, st.plain}, {exemptHost, st.plain}, {freeHost, st.plain}, {tlsHost, st.tls}, {blobHost, st.blob},
	})
	if err != nil {
		return nil, err
	}
	argv := []string{
		g.binary, "serve", "--listen-proxy", address, "--listen-admin", "", "--clock-at", g.at, "--upstream-hosts", string(hosts),
		"--data-dir", filepath.Join(st.dir, "data-"+g.name+"-"+port(address)),
	}
	if g.policy != "" {
		argv = append(argv, "--policy-file", g.policy, "--policy-catalog", g.catalog)
	}
	env, err := wideLimits(ctx, g.binary)
	if err != nil {
		return nil, err
	}
	return st.start(ctx, g.name+"-"+port(address), address, env, argv...)
}

// wideLimits sets the limits that would stop a load from few addresses, as far as the binary knows them.
func wideLimits(ctx context.Context, binary string) ([]string, error) {
	known, err := exec.CommandContext(ctx, binary, "config").Output()
	if err != nil {
		return nil, fmt.Errorf("%s config: %w", binary, err)
	}
	_, limits, _ := strings.Cut(string(known), "\nlimits:\n")
	var env []string
	for _, key := range []string{"connections", "per-client"} {
		if strings.Contains(limits, "\n  "+key+":") {
			env = append(env, "GRACEGATE_LIMITS_"+strings.ToUpper(strings.ReplaceAll(key, "-", "_"))+"=100000")
		}
	}
	return env, nil
}

// startGracegate starts a binary twice, before and after the deadline.
func (st *stage) startGracegate(ctx context.Context, name, binary string) (*peer, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	p := &peer{
		name: name, binary: binary, plain: plainHost, free: freeHost, tls: tlsHost + ":443", blob: blobHost + ":443", refused: 451,
		start: gateway{name: name, binary: binary, at: inGrace}.start, version: firstLine(binary, "version"),
	}
	if p.pass, err = st.launch(ctx, p); err != nil {
		return nil, err
	}
	late := peer{start: gateway{name: name + "-late", binary: binary, at: after}.start}
	p.refuse, err = st.launch(ctx, &late)
	return p, err
}

// listedHost is the i-th name of a list of many.
func listedHost(i int) string { return fmt.Sprintf("host-%07d.zone-%03d.example", i, i%1000) }

// startListed starts a gateway after the deadline that blocks a list of names besides what the law blocks.
func (st *stage) startListed(ctx context.Context, binary string, names int) (*server, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("gracegate-listed-%d", names)
	var list strings.Builder
	for i := range names {
		list.WriteString(listedHost(i) + "\n")
	}
	err = errors.Join(
		st.write(name+"/vendors/names.txt", list.String()),
		st.write(name+"/vendors/listed.yaml", `vendor: listed
sources: {ours: {title: our list, checked: 2026-11-23, grade: operator}}
endpoints: [{list: names.txt, channels: [codebase], sources: [ours]}]
`),
		st.write(name+".yaml", `version: 1
default-site: {jurisdictions: [US]}
restrictions: [{id: us-icts-2021-002, mode: enforce}]
rules:
  - {id: no-listed, vendor: listed, channels: [codebase], reason: a list, phases: [{from: 2020-01-01T00:00:00Z, effect: block}]}
settings: {mode: "off"}
`))
	if err != nil {
		return nil, err
	}
	g := gateway{name: name, binary: binary, at: after, policy: filepath.Join(st.dir, name+".yaml"), catalog: filepath.Join(st.dir, name)}
	return st.launch(ctx, &peer{start: g.start})
}

// insidePolicy blocks by the path, so that whoever is to enforce it must see requests.
const insidePolicy = `version: 1
default-site: {jurisdictions: []}
vendors:
  - vendor: bench
    sources: {ours: {title: a bench, checked: 2026-11-23, grade: operator}}
    endpoints:
      - {zone: ` + benchZone + `, paths: ["/blocked/**"], channels: [codebase], sources: [ours]}
      - {zone: ` + benchZone + `, channels: [signatures], sources: [ours]}
rules:
  - {id: no-codebase, vendor: bench, channels: [codebase], reason: a bench, phases: [{from: 2020-01-01T00:00:00Z, effect: block}]}
settings: {mode: "off"}
`

// insideGracegate is a gracegate with an authority of its own and a policy that has it take TLS apart.
func (st *stage) insideGracegate(name, binary string) *peer {
	p := &peer{name: name, binary: binary, leaves: true, roots: x509.NewCertPool()}
	p.start = func(ctx context.Context, st *stage, address string) (*server, error) {
		name := fmt.Sprintf("%s-inside-%s", name, port(address))
		config := name + "/gracegate.yaml"
		err := errors.Join(st.write(name+"/policy.yaml", insidePolicy), st.write(config, st.insideConfig(name, address)))
		if err != nil {
			return nil, err
		}
		maker := exec.CommandContext(ctx, binary, "ca", "init", "--config", config) //nolint:gosec // what is to be measured
		maker.Dir, maker.Env = st.dir, outerEnv()
		if out, err := maker.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ca init: %w: %s", err, out)
		}
		root, err := os.ReadFile(filepath.Join(st.dir, name, "data/ca/root.pem"))
		if err != nil {
			return nil, err
		}
		p.roots.AppendCertsFromPEM(root) // a gateway that is started for a row of its own has a root of its own
		env, err := wideLimits(ctx, binary)
		if err != nil {
			return nil, err
		}
		return st.start(ctx, name, address, env, binary, "serve", "--config", config)
	}
	return p
}

// insideConfig is the configuration of a gracegate that takes TLS apart.
func (st *stage) insideConfig(name, address string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `listen: {proxy: [%[1]q], admin: ""}
data: {dir: %[2]q}
policy: {file: %[3]q}
upstream:
  ca-file: %[4]q
  hosts:
`, address, filepath.Join(st.dir, name, "data"), filepath.Join(st.dir, name, "policy.yaml"), filepath.Join(st.dir, rootsFile))
	for i := -1; i < leafNames; i++ {
		fmt.Fprintf(&b, "    - {name: %s, address: %q}\n", leafName(i), st.tls)
	}
	return b.String()
}
