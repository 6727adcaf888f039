// Package console is the admin listener: health, readiness, metrics, version, settings, open flows, profiles of the process
// and the proxy auto-configuration file, for operators and their tools.
//
// [New] makes the handler and [Server] the http.Server around it; [Metrics] counts what the road does. Requests must
// name a host that is known to be the gateway's, must not come from another origin, and, where a token is set, carry it.
//
// The package changes nothing: every endpoint is for reading. It opens no listener, speaks no TLS and no HTTP/2, and shows
// profiles only where it is told to. It does not see to it that the proxy refuses to connect to the admin listener; the proxy's guard does.
package console
