package match

import (
	"bytes"
	"strings"
)

// CleanPath brings the path of a request into the one form that patterns are compared with. raw is the request target
// from its path on, as it came, still percent-encoded.
//
// In this order: query and fragment are dropped; what is percent-encoded is decoded once, so "%2F" becomes a separator
// like any other and "%252F" becomes "%2F"; runs of "/" become one; "." and ".." segments are resolved, ".." at the root
// being the root. A trailing slash is kept, and "/a/." and "/a/b/.." keep theirs: "/a/". The empty path is "/". Case,
// backslashes, ";" and bytes beyond ASCII stay as they are.
//
// ok is false for what has no such form: a "%" without two hex digits, a control character, decoded or not, and a
// target that does not start with "/", such as the "*" of OPTIONS.
//
// The result can itself contain "%", "?" and "#", which were encoded. So CleanPath of a result is the result only if it
// has none of the three; otherwise it shows what a server that decodes twice would read.
//
// It does not allocate for a path that is in this form already, but for a query or fragment.
func CleanPath(raw string) (path string, ok bool) {
	if end := strings.IndexAny(raw, "?#"); end >= 0 {
		raw = raw[:end]
	}
	switch {
	case raw == "":
		return "/", true
	case raw[0] != '/':
		return "", false
	case isClean(raw):
		return raw, true
	}
	decoded, ok := decode(raw)
	if !ok {
		return "", false
	}
	return string(resolve(decoded)), true
}

// isClean reports whether a path without query can stay as it is.
func isClean(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case c == '%', isControl(c):
			return false
		case i > 0 && path[i-1] == '/' && (c == '/' || c == '.' && startsWithDots(path[i:])):
			return false
		}
	}
	return true
}

// startsWithDots reports whether the first segment is "." or "..".
func startsWithDots(path string) bool {
	return path == "." || path == ".." || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../")
}

// decode replaces each "%" and two hex digits by the byte they stand for.
func decode(path string) (decoded []byte, ok bool) {
	decoded = make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return nil, false
			}
			hi, lo := unhex(path[i+1]), unhex(path[i+2])
			if hi > 15 || lo > 15 {
				return nil, false
			}
			c = hi<<4 | lo
			i += 2
		}
		if isControl(c) {
			return nil, false
		}
		decoded = append(decoded, c)
	}
	return decoded, true
}

// resolve removes empty and dot segments, in place. The path starts with "/".
func resolve(path []byte) []byte {
	// out ends with "/" before each segment, and never reaches what is still to be read.
	out, rest := path[:1], path[1:]
	for more := true; more; {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte("/"))
		switch string(segment) {
		case "", ".":
		case "..":
			if len(out) > 1 {
				out = out[:bytes.LastIndexByte(out[:len(out)-1], '/')+1]
			}
		default:
			out = append(out, segment...)
			if more {
				out = append(out, '/')
			}
		}
	}
	return out
}

// unhex returns the value of a hex digit, or more than 15.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }
