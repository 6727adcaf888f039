package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	argv := []string{g.binary, "serve", "--listen-proxy", address, "--listen-admin", "", "--clock-at", g.at, "--upstream-hosts", string(hosts)}
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
		name: name, plain: plainHost, free: freeHost, tls: tlsHost + ":443", blob: blobHost + ":443", refused: 451,
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
