// Package proxy is the road: it accepts clients, finds out what they ask for, asks the gate, and acts.
//
// Data flows one way: listen, identify, decide, act, record. The front (front.go) owns every accepted connection. One that a load
// balancer made begins with who its client is (balancer.go); one by SOCKS5 shakes hands, and is then what a CONNECT is (sockslane.go).
// The front reads the heads itself, and serves CONNECT and the simplest plain requests in its fast lane (lane.go); everything else
// goes, with every byte that came, to net/http and goproxy (plain.go), behind a filter that lets nothing through that two readers
// could read differently (framing.go). CONNECT becomes a tunnel (connect.go, tunnel.go), which relays by splice(2) once it moves much
// (relay.go), or, where the policy must see the requests in it and there is an [Issuer], an interception (intercept.go): net/http
// reads those, behind the same filter or as HTTP/2 (inner.go), and each takes the way of a plain one to its origin, over TLS that is
// verified (secure.go). What a packet filter sends to a transparent listener (transparent.go) is told by its first bytes (arrive.go,
// opening.go): HTTP goes the same way (redirected.go), everything else becomes a tunnel or an interception. gate.go holds the one call
// to the policy. dial.go checks the address that is really dialled.
//
// Every flow in progress is registered (flows.go) by the instant at which its verdict may change. It is judged again then, and
// after a reload, and cut if it may not go on (watch.go).
//
// The package decides nothing by itself except what its guards say: who may be a client, which ports and addresses may be
// reached, and how much one may take (admission.go). It reads no files and knows no configuration format.
package proxy
