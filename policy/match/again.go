package match

import "strings"

// ReadAgain reads a path that [CleanPath] returned as a more lenient server could: percent-encoding is decoded once more,
// backslashes are slashes, each segment ends at its ";" (the path parameters of RFC 3986, section 3.3), and then dot segments
// and double slashes are resolved. What stands for a control character, and a "%" without two hex digits, stay as they are.
//
// again is empty if that is the same path, as it is for every path without "%", "\" and ";"; that costs no memory. ok is false
// where servers that are lenient in different ways could read different paths: with a ".." that only a lenient reader sees,
// and more than one of the three at work.
func ReadAgain(path string) (again string, ok bool) {
	if strings.IndexByte(path, '%') < 0 && strings.IndexByte(path, '\\') < 0 && strings.IndexByte(path, ';') < 0 {
		return "", true
	}
	read, ways := leniently(path)
	if ways > 1 && climbs(read) {
		return "", false
	}
	if again = string(resolve(read)); again == path {
		return "", true
	}
	return again, true
}

// leniently decodes a path, turns its backslashes and drops its parameters. It tells how many of the three it did.
func leniently(path string) (read []byte, ways int) {
	read = make([]byte, 0, len(path))
	var decoded, turned, dropped, inParameter bool
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			if hi, lo := unhex(path[i+1]), unhex(path[i+2]); hi <= 15 && lo <= 15 && !isControl(hi<<4|lo) {
				c, decoded = hi<<4|lo, true
				i += 2
			}
		}
		switch c {
		case '\\':
			c, turned, inParameter = '/', true, false
		case '/':
			inParameter = false
		case ';':
			dropped, inParameter = true, true
		}
		if !inParameter {
			read = append(read, c)
		}
	}
	for _, did := range []bool{decoded, turned, dropped} {
		if did {
			ways++
		}
	}
	return read, ways
}

// climbs reports whether a segment is "..".
func climbs(path []byte) bool {
	for segment := range strings.SplitSeq(string(path), "/") {
		if segment == ".." {
			return true
		}
	}
	return false
}
