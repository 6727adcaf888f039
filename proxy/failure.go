package proxy

import (
	"errors"
	"net/http"
)

// failure is why an origin gave no answer.
type failure struct {
	status int
	reason string // for metrics and the record
	proxy  string // RFC 9209 error type
	detail string // safe to show: without addresses that only the gateway knows
}

func failureOf(err error) failure {
	if _, ok := errors.AsType[*GuardError](err); ok {
		return failure{http.StatusForbidden, "guarded", "destination_ip_prohibited", "the name leads to an address that this gateway does not dial"}
	}
	if dial, ok := errors.AsType[*DialError](err); ok {
		switch {
		case descriptorsExhausted(err):
			said := limited[limitDescriptors]
			return failure{said.status, string(limitDescriptors), said.errorType, said.detail}
		case dial.Reason == "parent" || dial.Reason == "parent-refused":
			return parentFailure(dial)
		case dial.Reason == "dns" && dial.Timeout():
			return failure{http.StatusGatewayTimeout, "dns", "dns_timeout", "the name was not resolved in time"}
		case dial.Reason == "dns":
			return failure{http.StatusBadGateway, "dns", "dns_error", "the name could not be resolved"}
		case dial.Reason == "timeout":
			return failure{http.StatusGatewayTimeout, "timeout", "connection_timeout", "the origin did not answer in time"}
		case dial.Reason == "refused":
			return failure{http.StatusBadGateway, "refused", "connection_refused", "the origin refused the connection"}
		default:
			return failure{http.StatusBadGateway, dial.Reason, "destination_unavailable", "the origin could not be reached"}
		}
	}
	if why, ok := tlsFailure(err); ok {
		return why
	}
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		return failure{http.StatusGatewayTimeout, "timeout", "http_response_timeout", "the origin did not answer in time"}
	}
	return failure{http.StatusBadGateway, "upstream", "http_protocol_error", "the origin's answer could not be understood, or broke off"}
}

// parentFailure is the failure for what went wrong with the parent.
func parentFailure(dial *DialError) failure {
	parent, _ := errors.AsType[*parentError](dial)
	switch {
	case parent == errLoop:
		return failure{http.StatusBadGateway, dial.Reason, "proxy_loop_detected", parent.Error()}
	case dial.Timeout():
		return failure{http.StatusGatewayTimeout, dial.Reason, "connection_timeout", "the parent proxy of this gateway did not answer in time"}
	}
	return failure{http.StatusBadGateway, dial.Reason, "destination_unavailable", parent.Error()}
}

// refusal is the answer to whoever asked.
func (f failure) refusal() *refusal {
	if f.reason == string(limitDescriptors) {
		return limitDescriptors.refusal()
	}
	a := &refusal{Status: f.status, Title: http.StatusText(f.status), Detail: sentence(f.detail), Error: f.proxy, ID: f.reason, Kind: "gateway"}
	if f.status == http.StatusForbidden {
		a.Title, a.ID, a.Kind = "Refused by this gateway", "destination", "guard"
	}
	return a
}
