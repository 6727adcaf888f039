package hello

import (
	"bytes"
	"strings"
)

// The builders below make hellos byte by byte, lawful and not.

type extension struct {
	kind uint16
	data []byte
}

func vector8(b []byte) []byte { return append([]byte{byte(len(b))}, b...) }

func vector16(b []byte) []byte {
	return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
}

// nameEntry is one entry of a server name list.
func nameEntry(kind byte, name string) []byte {
	return append([]byte{kind}, vector16([]byte(name))...)
}

// nameList is a server_name extension with the given entries.
func nameList(entries ...[]byte) extension {
	return extension{extServerName, vector16(bytes.Join(entries, nil))}
}

func sni(name string) extension { return nameList(nameEntry(nameTypeHost, name)) }

func alpn(protocols ...string) extension {
	var list []byte
	for _, p := range protocols {
		list = append(list, vector8([]byte(p))...)
	}
	return extension{extALPN, vector16(list)}
}

func padding(n int) extension { return extension{21, make([]byte, n)} }

// fields are the parts of a hello before its extensions; the zero value is filled with lawful ones.
type fields struct {
	version, session, suites, compression []byte
}

func (f fields) message(extensions []byte) []byte {
	or := func(b, standard []byte) []byte {
		if b == nil {
			return standard
		}
		return b
	}
	body := bytes.Join([][]byte{
		or(f.version, []byte{3, 3}),
		bytes.Repeat([]byte{0xaa}, randomSize),
		or(f.session, []byte{0}),
		or(f.suites, vector16([]byte{0x13, 0x01, 0xc0, 0x2f})),
		or(f.compression, []byte{1, 0}),
		extensions,
	}, nil)
	return handshake(handshakeIsAHello, body)
}

func handshake(kind byte, body []byte) []byte {
	n := len(body)
	return append([]byte{kind, byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

// join is the block of extensions of a hello.
func join(extensions ...extension) []byte {
	var block []byte
	for _, e := range extensions {
		block = append(block, byte(e.kind>>8), byte(e.kind))
		block = append(block, vector16(e.data)...)
	}
	return vector16(block)
}

// message is a lawful hello with the given extensions.
func message(extensions ...extension) []byte { return fields{}.message(join(extensions...)) }

func record(kind byte, fragment []byte) []byte {
	return append([]byte{kind, 3, 1}, vector16(fragment)...)
}

// records spreads a message over handshake records of at most size bytes.
func records(message []byte, size int) []byte {
	var out []byte
	for len(message) > 0 {
		n := min(size, len(message))
		out = append(out, record(typeHandshake, message[:n])...)
		message = message[n:]
	}
	return out
}

// whole is a lawful hello in as few records as the standard allows.
func whole(extensions ...extension) []byte { return records(message(extensions...), maxFragment) }

// sized is a hello of exactly n bytes, its message head included, for name.
func sized(n int, name string) []byte {
	empty := len(message(sni(name), padding(0)))
	return message(sni(name), padding(n-empty))
}

func text(n int) string { return strings.Repeat("a", n) }
