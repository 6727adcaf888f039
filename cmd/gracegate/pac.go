package main

import (
	"net"
	"net/http"

	"github.com/gracegate/gracegate/proxy/divert"
)

// pacHandler serves a PAC file that names this gateway as the client named it, with the port of the first proxy listener.
func pacHandler(proxies []net.Listener) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
		_, port, err := net.SplitHostPort(proxies[0].Addr().String())
		if err != nil {
			http.Error(w, "no proxy address", http.StatusInternalServerError)
			return
		}
		text, err := divert.PAC(net.JoinHostPort(name, port), divert.Options{})
		if err != nil {
			http.Error(w, "the Host field names no proxy", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", divert.PACType)
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write([]byte(text)) //nolint:gosec // G705: divert.PAC refuses a name that is none, and the type is no HTML
	})
}
