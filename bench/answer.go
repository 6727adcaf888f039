package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// headLimit is the size of the longest head of a request or an answer that is read here.
const headLimit = 16 << 10

// headReader reads heads and bodies from a connection with one buffer and as few reads as there can be.
type headReader struct {
	from     io.Reader
	buf      []byte
	at, till int // what is in buf and not yet read
}

func newHeadReader(from io.Reader) *headReader {
	return &headReader{from: from, buf: make([]byte, 64<<10)}
}

// reset begins anew with another connection.
func (r *headReader) reset(from io.Reader) { r.from, r.at, r.till = from, 0, 0 }

func (r *headReader) buffered() int { return r.till - r.at }

// head returns what stands up to and with the next empty line. It is valid until the next call.
func (r *headReader) head() ([]byte, error) {
	if r.at > 0 {
		r.till = copy(r.buf, r.buf[r.at:r.till])
		r.at = 0
	}
	for searched := 0; ; {
		if end := bytes.Index(r.buf[searched:r.till], []byte("\r\n\r\n")); end >= 0 {
			r.at = searched + end + 4
			return r.buf[:r.at], nil
		}
		if r.till >= headLimit {
			return nil, errors.New("a head without an end")
		}
		searched = max(0, r.till-3)
		n, err := r.from.Read(r.buf[r.till:])
		if r.till += n; n == 0 && err != nil {
			if r.till > 0 && err == io.EOF {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// Read reads what is buffered, then from the connection.
func (r *headReader) Read(p []byte) (int, error) {
	if r.at == r.till {
		return r.from.Read(p)
	}
	n := copy(p, r.buf[r.at:r.till])
	r.at += n
	return n, nil
}

// skip reads a body of n bytes and throws it away; of n < 0, all up to the end. It returns the length.
func (r *headReader) skip(n int) (int, error) {
	got := min(r.buffered(), n)
	if n < 0 {
		got = r.buffered()
	}
	r.at += got
	for got != n {
		room := len(r.buf)
		if n >= 0 {
			room = min(room, n-got)
		}
		r.at, r.till = 0, 0
		m, err := r.from.Read(r.buf[:room])
		got += m
		switch {
		case err == io.EOF && n < 0:
			return got, nil
		case err != nil && got != n:
			return got, fmt.Errorf("a body of %d bytes ended after %d: %w", n, got, err)
		}
	}
	return got, nil
}

// answer is what the load looks at in an answer.
type answer struct {
	status int
	length int // of the body
	closes bool
}

// answer reads one answer with its body.
func (r *headReader) answer() (answer, error) {
	head, err := r.head()
	if err != nil {
		return answer{}, fmt.Errorf("no answer: %w", err)
	}
	a, length, err := parseHead(head)
	if err != nil {
		return a, err
	}
	a.length, err = r.skip(length)
	return a, err
}

// parseHead reads the head of an answer. Its body has the length that is returned, or lasts to the end if that is below 0.
func parseHead(head []byte) (a answer, length int, err error) {
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." {
		return a, 0, fmt.Errorf("%q is no status line", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, 0, fmt.Errorf("%q is no status line", line)
	}
	length, a.closes = -1, line[7] == '0'
	for len(fields) > 2 {
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return a, 0, fmt.Errorf("%q is no length", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return a, 0, errors.New("a chunked answer, although the origin sent none")
		case bytes.EqualFold(name, []byte("Connection")), bytes.EqualFold(name, []byte("Proxy-Connection")):
			a.closes = bytes.EqualFold(value, []byte("close"))
		}
	}
	if length < 0 {
		a.closes = true
	}
	return a, length, nil
}
