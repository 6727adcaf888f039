// Package socks reads what a client of SOCKS5 says before its bytes are relayed (RFC 1928), and its log-in by name and password
// (RFC 1929).
//
// It reads not a byte more than each message has, 513 at most, and has no deadline of its own. It does not dial, relay, check a
// password, or judge what is asked for, and a destination is text here: its caller does all that, as for every other way in. Versions
// other than 5 are refused.
package socks

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
)

const version = 5

// Method is a way to log in.
type Method byte

// The methods that are known here.
const (
	NoLogin   Method = 0
	Password  Method = 2
	NoneTaken Method = 0xff // none that the client offers will do
)

// Bytes is what tells the client which method was taken.
func (m Method) Bytes() []byte { return []byte{version, byte(m)} }

// Command is what a client asks for.
type Command byte

// The commands of the protocol.
const (
	Connect   Command = 1
	Bind      Command = 2
	Associate Command = 3 // UDP
)

// Reply says what became of a request.
type Reply byte

// The replies of the protocol.
const (
	Succeeded Reply = iota
	Failed
	NotAllowed
	NetworkUnreachable
	HostUnreachable
	Refused
	Expired
	CommandUnknown
	AddressUnknown
)

// Bytes is what tells the client. The address that a server would dial from is told as 0.0.0.0:0: it is nobody's business, and there
// is none before something was dialled.
func (r Reply) Bytes() []byte { return []byte{version, byte(r), 0, ipv4, 0, 0, 0, 0, 0, 0} }

// LoginReply tells the client whether name and password are right. If they are not, the connection is to be closed.
func LoginReply(ok bool) []byte {
	if ok {
		return []byte{loginVersion, 0}
	}
	return []byte{loginVersion, 1}
}

// Request is what a client wants.
type Request struct {
	Command Command
	Host    string // as it was sent: a name, or an address without brackets
	Port    uint16
}

// Error says why a message cannot be read. It is the only type of error of this package; those of reading are the reader's.
type Error struct {
	Code   string // a word for it, such as "socks-version"
	Detail string // lower case; quotes nothing of what came
	Answer []byte // what tells the client, as far as its protocol has a word for it; the connection is to be closed then
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// ReadGreeting reads the methods that a client offers.
func ReadGreeting(r io.Reader) ([]Method, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return nil, err
	}
	switch head[0] {
	case version:
	case 4:
		// What SOCKS4 has for a request that is rejected: its replies are of version 0.
		return nil, &Error{"socks-version", "a client of SOCKS4, which is not spoken here", []byte{0, 0x5b, 0, 0, 0, 0, 0, 0}}
	default:
		return nil, &Error{"socks-version", "the client does not speak SOCKS5", nil}
	}
	if err := readFull(r, head[1:]); err != nil {
		return nil, err
	}
	list := make([]byte, head[1])
	if err := readFull(r, list); err != nil {
		return nil, err
	}
	methods := make([]Method, len(list))
	for i, m := range list {
		methods[i] = Method(m)
	}
	return methods, nil
}

const loginVersion = 1

// ReadLogin reads a name and a password, any bytes. Neither may be empty.
func ReadLogin(r io.Reader) (user, password string, err error) {
	bad := func(detail string) error { return &Error{"socks-login", detail, LoginReply(false)} }
	var head [2]byte
	if err := readFull(r, head[:]); err != nil {
		return "", "", err
	}
	if head[0] != loginVersion {
		return "", "", bad("a log-in of another version than 1")
	}
	if user, err = readText(r, head[1]); err != nil {
		return "", "", err
	}
	if err := readFull(r, head[:1]); err != nil {
		return "", "", err
	}
	if password, err = readText(r, head[0]); err != nil {
		return "", "", err
	}
	if user == "" || password == "" {
		return "", "", bad("a log-in without a name or a password")
	}
	return user, password, nil
}

// The types of addresses.
const (
	ipv4       = 1
	domainName = 3
	ipv6       = 4
)

// ReadRequest reads a request. The host is not judged, except that a name is not empty.
func ReadRequest(r io.Reader) (q Request, err error) {
	var head [4]byte
	if err := readFull(r, head[:]); err != nil {
		return q, err
	}
	if head[0] != version || head[2] != 0 {
		return q, &Error{"socks-request", "the request does not begin as one of SOCKS5", Failed.Bytes()}
	}
	switch q.Command = Command(head[1]); head[3] {
	case ipv4, ipv6:
		address := make([]byte, 4)
		if head[3] == ipv6 {
			address = make([]byte, 16)
		}
		if err := readFull(r, address); err != nil {
			return q, err
		}
		a, _ := netip.AddrFromSlice(address)
		q.Host = a.String()
	case domainName:
		var length [1]byte
		if err := readFull(r, length[:]); err != nil {
			return q, err
		}
		if q.Host, err = readText(r, length[0]); err != nil {
			return q, err
		}
		if q.Host == "" {
			return q, &Error{"socks-request", "the request names no host", Failed.Bytes()}
		}
	default:
		return q, &Error{"socks-address", "an address of a type that SOCKS5 does not have", AddressUnknown.Bytes()}
	}
	var port [2]byte
	if err := readFull(r, port[:]); err != nil {
		return q, err
	}
	q.Port = binary.BigEndian.Uint16(port[:])
	return q, nil
}

func readText(r io.Reader, length byte) (string, error) {
	text := make([]byte, length)
	err := readFull(r, text)
	return string(text), err
}

// readFull is io.ReadFull where an end is none in order: something came before.
func readFull(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
