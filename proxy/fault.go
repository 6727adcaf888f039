package proxy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Fault says why a message was not let through. It is the error that reading a request body returns if the body is at
// fault; a head at fault arrives as a request for [FaultOf].
type Fault struct { //nolint:errname // a fault of the client, first of all an answer to it
	Status int    // of the answer: 400, 408, 431, 501 or 505; 0: the client does not speak HTTP
	Code   string // one word: "bare-lf"
	Detail string // what is wrong, in lower case; quotes nothing of the message, so it is safe to log and to show
}

// Error returns the code and the detail.
func (f *Fault) Error() string { return f.Code + ": " + f.Detail }

const (
	// faultField is reserved: a client's message that holds it is at fault.
	faultField = "X-Gracegate-Fault"

	faultLine = "GET /.gracegate-fault HTTP/1.1\r\nHost: gracegate.invalid\r\nConnection: close\r\n" + faultField
)

// request is what net/http reads in place of a head at fault: a well-formed request, so that the answer comes from the
// handler and in its turn, after those of the requests before it.
func (f *Fault) request() []byte {
	return fmt.Appendf(nil, "%s: %d %s %s\r\n\r\n", faultLine, f.Status, f.Code, f.Detail)
}

// FaultOf returns the fault that a request stands for. The handler asks it first of all, answers with the status, and does
// nothing else with such a request; the connection ends behind it.
func FaultOf(r *http.Request) (*Fault, bool) {
	value := r.Header.Get(faultField)
	if value == "" {
		return nil, false
	}
	status, rest, _ := strings.Cut(value, " ")
	code, detail, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(status)
	if err != nil {
		n = http.StatusBadRequest
	}
	return &Fault{Status: n, Code: code, Detail: detail}, true
}

func badRequest(code, detail string) *Fault {
	return &Fault{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

func tooLarge(code, detail string) *Fault {
	return &Fault{Status: http.StatusRequestHeaderFieldsTooLarge, Code: code, Detail: detail}
}

func timedOut(code, detail string) *Fault {
	return &Fault{Status: http.StatusRequestTimeout, Code: code, Detail: detail}
}
