// Package proxy is the road: it accepts clients, finds out what they ask for, asks the gate, and acts.
//
// Data flows one way: listen, identify, decide, act, record. The front (framing.go) owns every accepted connection and lets
// nothing through to net/http that two readers could read differently. Plain requests go through goproxy (plain.go) over our
// own transport; CONNECT is ours alone (connect.go, tunnel.go). gate.go holds the one call to the policy. dial.go checks the
// address that is really dialled.
//
// The package decides nothing by itself except what its guards say: who may be a client, which ports and addresses may be
// reached. It reads no files and knows no configuration format.
package proxy
