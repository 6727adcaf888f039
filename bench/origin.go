package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// endless is the length of a blob that goes on until the client leaves.
const endless = 1 << 62

// The authorities of CONNECT for a proxy that hands CONNECT on instead of answering it.
const (
	connectTLS  = "tls.bench:443"
	connectBlob = "blob.bench:443"
)

// origin answers in the place of vendors' servers: bodies of a length that the path names, over HTTP and TLS, and blobs.
type origin struct {
	tls     *tls.Config
	date    string
	answers sync.Map // length to whole answer
}

func runOrigin(args []string) error {
	flags := flag.NewFlagSet("origin", flag.ContinueOnError)
	plain := flags.String("plain", "", "HOST:PORT for HTTP")
	secure := flags.String("tls", "", "HOST:PORT for HTTP over TLS")
	blob := flags.String("blob", "", "HOST:PORT for blobs behind a hello")
	cert := flags.String("cert", "", "the file with certificate and key")
	syslog := flags.String("syslog", "", "the socket on which log messages are taken")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(*cert, *cert)
	if err != nil {
		return err
	}
	o := &origin{
		tls: &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
			CurvePreferences: []tls.CurveID{tls.X25519}, // the same for each proxy
		},
		date: time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"),
	}
	ended := make(chan error)
	for address, serve := range map[string]func(net.Conn) error{*plain: o.serveHTTP, *secure: o.serveTLS, *blob: serveBlob} {
		go func() { ended <- listen(address, serve) }()
	}
	go func() { ended <- swallow(*syslog) }()
	return <-ended
}

// listen serves every connection on a goroutine of its own. It returns when it cannot go on.
func listen(address string, serve func(net.Conn) error) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = serve(c) // a client that leaves is no failure; one that gets a wrong answer tells
		}()
	}
}

// swallow takes the datagrams of a program that logs by syslog.
func swallow(socket string) error {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	if err := errors.Join(os.Chmod(socket, 0o666), c.SetReadBuffer(4<<20)); err != nil { //nolint:gosec // like /dev/log: anybody may log
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return err
		}
	}
}

func (o *origin) serveTLS(c net.Conn) error { return o.serveHTTP(tls.Server(c, o.tls)) }

func (o *origin) serveHTTP(c net.Conn) error {
	r := newHeadReader(c)
	for {
		head, err := r.head()
		if err != nil {
			return err
		}
		method, rest, _ := bytes.Cut(head, []byte(" "))
		target, _, ok := bytes.Cut(rest, []byte(" "))
		switch {
		case !ok:
			return errors.New("no request line")
		case string(method) == "CONNECT":
			return o.tunnel(c, r, string(target))
		}
		length, err := strconv.Atoi(string(target[bytes.LastIndexByte(target, '/')+1:]))
		if err != nil {
			return err
		}
		closes := bytes.HasPrefix(target, []byte("/last/")) || bytes.Contains(head, []byte("\r\nConnection: close\r\n")) || bytes.Contains(head, []byte("\r\nconnection: close\r\n"))
		if _, err := c.Write(o.whole(length, closes)); err != nil || closes {
			return errors.Join(err, c.Close())
		}
	}
}

// whole is a whole answer with a body of the given length.
func (o *origin) whole(length int, closes bool) []byte {
	type key struct {
		length int
		closes bool
	}
	if made, ok := o.answers.Load(key{length, closes}); ok {
		return made.([]byte)
	}
	connection := ""
	if closes {
		connection = "Connection: close\r\n"
	}
	made := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n%s\r\n%s",
		o.date, length, connection, bytes.Repeat([]byte("u"), length))
	o.answers.Store(key{length, closes}, made)
	return made
}

// tunnel answers CONNECT itself, for a proxy that hands it on.
func (o *origin) tunnel(c net.Conn, r *headReader, authority string) error {
	if r.buffered() > 0 {
		return errors.New("bytes before the answer to CONNECT")
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return err
	}
	switch authority {
	case connectTLS:
		return o.serveTLS(c)
	case connectBlob:
		return serveBlob(c)
	}
	return fmt.Errorf("no tunnel to %q", authority)
}

// period is the number after which the bytes of a blob repeat: a prime, so that a byte tells where it stands.
const period = 251

var blobBytes = func() []byte {
	b := make([]byte, 256<<10+period)
	for i := range b {
		b[i] = byte(i % period)
	}
	return b
}()

// serveBlob reads a TLS record, which is the hello, answers one byte, and then sends blobs, each of as many bytes as eight
// bytes from the client ask for.
func serveBlob(c net.Conn) error {
	var record [5]byte
	if _, err := io.ReadFull(c, record[:]); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint16(record[3:]))); err != nil {
		return err
	}
	if _, err := c.Write(blobBytes[:1]); err != nil {
		return err
	}
	var wanted [8]byte
	for {
		if _, err := io.ReadFull(c, wanted[:]); err != nil {
			return err
		}
		length := int(binary.BigEndian.Uint64(wanted[:])) //nolint:gosec // the load asks for no more
		for sent := 0; sent < length; {
			start := sent % period
			n := min(length-sent, len(blobBytes)-start)
			if _, err := c.Write(blobBytes[start : start+n]); err != nil {
				return err
			}
			sent += n
		}
	}
}
