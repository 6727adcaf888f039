package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// invalid has for every testdata/invalid-NAME.yaml what Load says of it, without the name of the file.
var invalid = map[string][]string{
	"admin-host":               {`:2:11: admin.hosts: "gate.example.org:9128" is no host: not an IPv6 address, and no port belongs here (write a name such as gate.example.org, without a port)`},
	"admin-open":               {`:2:10: listen.admin: "0.0.0.0:9128" is not loopback and needs admin.hosts and admin.token-file (or listen on 127.0.0.1)`},
	"admin-open-without-token": {`:1:17: listen.admin: ":9128" is not loopback and needs admin.token-file (or listen on 127.0.0.1)`},
	"admin-shared":             {`:3:10: listen.admin: the address "127.0.0.1:3128" is in listen.proxy too (the two need ports of their own)`},
	"alias":                    {`:3:9: limits.dial: wants a duration such as 30s, not an alias`},
	"bundle-beside": {
		`:3:9: policy.file: "/p.yaml" stands beside policy.bundle, which has the policy and its catalogue (leave one of the two out; for one command, --policy-bundle "" does so)`,
		`:4:12: policy.catalog: "/c" stands beside policy.bundle, which has the policy and its catalogue (leave one of the two out; for one command, --policy-bundle "" does so)`,
		`:5:17: policy.catalog-only: "true" stands beside policy.bundle, which has the policy and its catalogue (leave one of the two out; for one command, --policy-bundle "" does so)`,
	},
	"bundle-http":             {`:1:18: policy.bundle: "http://example.org/b" is not https: whoever is in between could hold a new policy back (write https://)`},
	"bundle-scheme":           {`:1:18: policy.bundle: "ftp://example.org/b" is neither a path nor an https:// URL (write a path, or one such as https://policy.example.org/site.bundle)`},
	"bundle-user":             {`:1:18: policy.bundle: the value holds a user (serve bundles to everybody who can reach the server: they are signed, and hold no secret)`},
	"bundle-without-keys":     {`:1:18: policy.bundle: "/b" needs policy.keys: without a key, no bundle can be trusted (name the public keys of those who may sign; gracegate bundle keygen makes a pair)`},
	"catalog-only":            {`:2:17: policy.catalog-only: true without policy.catalog leaves no catalogue at all (set policy.catalog)`},
	"client-prefix":           {`:2:11: clients.allow: "10.0.0.256" is neither a prefix nor an address (write one such as 10.0.0.0/8 or 192.0.2.1)`},
	"client-word":             {`:2:21: clients.allow: "onlink" is none of loopback, private, on-link, and no prefix (did you mean on-link?)`},
	"connections-negative":    {`:2:16: limits.connections: "-1" is too small (at least 0, at most 1000000)`},
	"control":                 {`:2:12: operator.contact: "a\nb" has a line break or another control character (write it on one line)`},
	"count-not-whole":         {`:2:17: limits.header-count: "0x10" is not a whole number (write one such as 100)`},
	"count-too-large":         {`:2:17: limits.header-count: "10001" is too large (at least 1, at most 10000)`},
	"count-wanted":            {`:2:17: limits.header-count: wants a whole number, not the number 1.5`},
	"dotted-key":              {`:1:1: unknown key "limits.idle" (sections are nested: write limits: {idle: ...})`},
	"duplicate-key":           {`:4:3: limits: key "idle" stands twice (the first is in line 2)`},
	"duplicate-section":       {`:3:1: key "limits" stands twice (the first is in line 1)`},
	"duration-days-malformed": {`:2:9: limits.idle: "1.5d" is not a duration (write one such as 250ms, 30s, 36h or 14d)`},
	"duration-fraction":       {`:2:16: deny.retry-after: "1500ms" is not a whole number of seconds`},
	"duration-malformed":      {`:2:9: limits.idle: "5min" is not a duration (write one such as 250ms, 30s, 36h or 14d)`},
	"duration-too-large":      {`:2:10: limits.drain: "2d" is too large (at least 10ms, at most 1d)`},
	"duration-without-unit":   {`:2:9: limits.idle: "300" has no unit (write one such as 250ms, 30s, 36h or 14d)`},
	"duration-zero":           {`:2:9: limits.dial: "0" is too small (at least 10ms, at most 5m)`},
	"instant-abbreviation":    {`:2:7: clock.at: "2024-09-28T23:59:50 EST" has the zone EST, which is ambiguous (write it like 2024-09-29T00:00:00-04:00)`},
	"instant-hour-24":         {`:2:7: clock.at: "2024-09-28T24:00:00Z" has hour 24, which is the next day's hour 00 (write it like 2024-09-29T00:00:00-04:00)`},
	"instant-no-such-day":     {`:2:7: clock.at: "2024-09-31T00:00:00Z" is not RFC 3339 (write it like 2024-09-29T00:00:00-04:00)`},
	"instant-without-offset":  {`:2:7: clock.at: "2024-09-28T23:59:50" has no offset from UTC (write it like 2024-09-29T00:00:00-04:00)`},
	"instant-without-time":    {`:2:7: clock.at: "2024-09-28" has no time of day and no offset (write it like 2024-09-29T00:00:00-04:00)`},
	"key-not-a-word":          {`:2:3: limits: a key is a word, not a list`},
	"known-at":                {`:2:13: policy.known-at: "always" is not all, clock or an instant (write it like 2024-09-29T00:00:00-04:00)`},
	"lifetime-too-large":      {`:2:13: limits.lifetime: "366d" is too large (at least 10ms, at most 365d)`},
	"list-wanted":             {`:2:10: listen.proxy: wants a list, not the text "127.0.0.1:3128" (write it in brackets)`},
	"listen-malformed":        {`:2:11: listen.proxy: "3128" is not HOST:PORT (write one such as 127.0.0.1:3128, [::1]:3128 or :3128)`},
	"listen-name":             {`:2:11: listen.proxy: "gate.example.org:3128" names no IP address to listen on (write one such as 127.0.0.1:3128, [::1]:3128 or :3128)`},
	"listen-none":             {`:2:10: listen.proxy: no address to listen on (name one such as 127.0.0.1:3128)`},
	"listen-port":             {`:2:11: listen.proxy: "127.0.0.1:65536" has a port that is larger than 65535 (write one such as 127.0.0.1:3128, [::1]:3128 or :3128)`},
	"listen-twice":            {`:2:10: listen.proxy: the address "127.0.0.1:3128" stands twice`},
	"listen-socks": {
		`:3:10: listen.socks: the address "127.0.0.1:1080" stands twice`,
		`:3:10: listen.socks: the address "127.0.0.1:3128" is in listen.proxy too (the two need ports of their own)`,
		`:4:10: listen.admin: the address "127.0.0.1:1080" is in listen.socks too (the two need ports of their own)`,
	},
	"proxy-protocol-everybody": {
		`:2:19: listen.proxy-protocol: "0.0.0.0/0" is everybody, and each could pass for any client (name the addresses of the load balancers)`,
		`:2:19: listen.proxy-protocol: "::/0" is everybody, and each could pass for any client (name the addresses of the load balancers)`,
	},
	"listen-transparent": {
		`:2:17: listen.transparent: "x:1" names no IP address to listen on (write one such as 127.0.0.1:3128, [::1]:3128 or :3128)`,
		`:4:9: transparent.dial: "sni" is not original or resolve`,
	},
	"listen-transparent-shared": {
		`:3:16: listen.transparent: the address "127.0.0.1:3130" stands twice`,
		`:3:16: listen.transparent: the address ":3129" is in listen.proxy too (the two need ports of their own)`,
		`:4:10: listen.admin: the address "127.0.0.1:3130" is in listen.transparent too (the two need ports of their own)`,
	},
	"many": {
		`:1:14: log.level: "warning" is not debug, info, warn or error`,
		`:2:18: listen.proxy: "3128" is not HOST:PORT (write one such as 127.0.0.1:3128, [::1]:3128 or :3128)`,
		`:2:34: listen.admin: "9128" is not HOST:PORT (write one such as 127.0.0.1:3128, [::1]:3128 or :3128)`,
		`:3:10: unknown key "limits.idel" (did you mean limits.idle?)`,
		`:3:26: limits.idle: "5" has no unit (write one such as 250ms, 30s, 36h or 14d)`,
		`:4:15: clock.rate: 60 needs clock.at: real time runs at 1 (set clock.at)`,
	},
	"memory-too-small":            {`:2:11: limits.memory: "1MiB" is too small (at least 32MiB, at most 1024GiB)`},
	"memory-without-unit":         {`:2:11: limits.memory: "1000000000" has no unit (write one such as 512B, 64KiB or 1MiB)`},
	"not-a-mapping":               {`:1:1: wants settings by section, not a list (write listen: {proxy: [...]})`},
	"nothing":                     {`:2:8: limits.idle: wants a duration such as 30s, not nothing`},
	"number-infinite":             {`:1:46: clock.rate: ".inf" is not a number (write one such as 60 or 0.5)`},
	"parent-auth":                 {`:3:16: upstream.parent-auth: the value is neither file:PATH nor env:NAME (put user:password into a file that only its owner can read, and write file: and its path)`},
	"parent-auth-alone":           {`:2:16: upstream.parent-auth: there is no upstream.parent to log in to (set upstream.parent)`},
	"parent-itself":               {`:2:11: upstream.parent: "http://127.0.0.1:3128" is in listen.proxy: the gateway would go through itself (it names another proxy)`},
	"parent-port":                 {`:2:11: upstream.parent: "http://proxy.example.org/" has no port (write one such as http://proxy.example.org:3128)`},
	"parent-scheme":               {`:2:11: upstream.parent: "https://proxy.example.org:3128" has a scheme other than http (to a proxy behind TLS there is no way; write one such as http://proxy.example.org:3128)`},
	"parent-user":                 {`:2:11: upstream.parent: the value holds a user (upstream.parent-auth names the place where user and password are)`},
	"per-client-too-large":        {`:2:15: limits.per-client: "1000001" is too large (at least 0, at most 1000000)`},
	"per-destination-word":        {`:2:20: limits.per-destination: wants a whole number, not the text "none"`},
	"port":                        {`:2:17: upstream.ports: "65536" is not a port or a range of ports (write 8443 or 8000-8010)`},
	"port-range":                  {`:2:11: upstream.ports: "8010-8000" ends before it starts (write 8000-8010)`},
	"pprof":                       {`:2:10: admin.pprof: wants true or false, not the text "localhost"`},
	"prefix":                      {`:2:11: upstream.allow: "10.0.0.0/33" is neither a prefix nor an address (write one such as 10.0.0.0/8 or 192.0.2.1)`},
	"prefix-bits":                 {`:2:11: upstream.allow: "10.1.2.3/8" has bits set beyond its length (write 10.0.0.0/8, or the address alone)`},
	"rate-fraction":               {`:2:9: limits.rate: wants a whole number, not the number 0.5`},
	"rate-without-at":             {`:2:9: clock.rate: 60 needs clock.at: real time runs at 1 (set clock.at)`},
	"rate-zero":                   {`:1:46: clock.rate: "0" is too small (above 0, at most 1000000)`},
	"resolver":                    {`:2:13: upstream.resolver: "192.0.2.1" is not ADDRESS:PORT (write one such as 192.0.2.1:53 or [2001:db8::1]:53)`},
	"records-shared":              {`:1:30: audit.squid: "/./r.log" is audit.file too, and would mix two kinds of lines (name two files, or set audit.file to nothing)`},
	"lease-without-name":          {`:1:23: devices.leases: "" is no path (leave it out, or name a file)`},
	"rotate-size":                 {`:1:22: audit.rotate-size: "1KiB" is too small (at least 1MiB, at most 1024GiB)`},
	"untrusted":                   {`:2:14: clock.untrusted: "block" is not last-good, block-governed or allow`},
	"time-server":                 {`:2:10: clock.check: "time.example.org" is not ntp://HOST[:PORT] (write one such as ntp://time.example.org or ntp://192.0.2.1:123)`},
	"syslog":                      {`:2:11: audit.syslog: "syslog://log.example.org" has a network other than udp, tcp, tls and unix (write one such as udp://192.0.2.1:514, tls://log.example.org:6514 or unix:///dev/log)`},
	"syslog-port":                 {`:2:11: audit.syslog: "tls://log.example.org" has no port (write one such as udp://192.0.2.1:514, tls://log.example.org:6514 or unix:///dev/log)`},
	"scalar-wanted":               {`:2:9: limits.idle: wants a duration such as 30s, not a list`},
	"second-document-syntax":      {`:2: is not YAML: did not find expected ',' or '}'`},
	"section-not-a-mapping":       {`:1:9: limits: wants settings, not the text "5m"`},
	"size-malformed":              {`:2:11: limits.header: "64KB" is not a size (write one such as 512B, 64KiB or 1MiB)`},
	"size-too-large":              {`:2:11: limits.header: "1GiB" is too large (at least 1KiB, at most 1MiB)`},
	"size-without-unit":           {`:2:11: limits.header: "65536" has no unit (write one such as 512B, 64KiB or 1MiB)`},
	"syntax":                      {`:3: is not YAML: could not find expected ':'`},
	"tab":                         {`:3:1: a tab in the indentation (indent with spaces)`},
	"text-wanted":                 {`:2:9: operator.name: wants text, not the number 1984 (put it in quotes)`},
	"truth-wanted":                {`:2:11: policy.reload: wants true or false, not the text "yes"`},
	"two-documents":               {`:2:1: a second document (keep all settings in one)`},
	"unknown-key":                 {`:2:3: unknown key "limits.idel" (did you mean limits.idle?)`},
	"unknown-key-case":            {`:2:3: unknown key "limits.headerCount" (did you mean limits.header-count?)`},
	"unknown-key-elsewhere":       {`:2:3: unknown key "limits.retry-after" (did you mean deny.retry-after?)`},
	"unknown-key-far":             {`:2:3: unknown key "limits.something-else" (gracegate config prints all keys)`},
	"unknown-section":             {`:1:1: unknown key "limit" (did you mean limits?)`},
	"upstream-host-address":       {`:3:36: upstream.hosts[0].address: "b.example:80" is not ADDRESS:PORT (write one such as 192.0.2.1:53 or [2001:db8::1]:53)`},
	"upstream-host-duplicate-key": {`:3:50: upstream.hosts[0]: key "name" stands twice (the first is in line 3)`},
	"upstream-host-name":          {`:3:14: upstream.hosts[0].name: "a..example" is not NAME[:PORT]: an empty label (write one such as example.org or example.org:443)`},
	"upstream-host-not-a-mapping": {`:2:11: upstream.hosts[0]: wants a mapping, not the text "dnl-01.geo.kaspersky.com" (write [{"name": "...", "address": "..."}])`},
	"upstream-host-nothing":       {`:3:14: upstream.hosts[0].name: wants text, not nothing`},
	"upstream-host-twice":         {`:3:5: upstream.hosts: the name "a.example" stands twice`},
	"upstream-host-unknown-key": {
		`:3:25: upstream.hosts[0]: unknown key "addresss" (did you mean address?)`,
		`:3:7: upstream.hosts[0]: "address" is missing (write [{"name": "...", "address": "..."}])`,
	},
	"url":  {`:2:8: operator.url: "example.org/refused" is not the URL of a web page (write one such as https://example.org/refused)`},
	"word": {`:2:10: log.level: "warning" is not debug, info, warn or error`},
}

func TestInvalidFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yaml")
	if err != nil || len(files) != len(invalid) {
		t.Fatalf("%d files in testdata, %d in the table, %v", len(files), len(invalid), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "testdata/invalid-"), ".yaml")
		t.Run(name, func(t *testing.T) {
			c, err := Load(parsed(t, "--config", file))
			if err == nil {
				t.Fatalf("loaded as %+v", c)
			}
			want := file + strings.Join(invalid[name], "\n"+file)
			if got := err.Error(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
