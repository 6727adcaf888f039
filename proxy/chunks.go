package proxy

// chunks follows a chunked body (RFC 9112, section 7.1) byte by byte up to the end of the last chunk's line; what comes then
// are trailers. It takes no blanks around a size, no line end but CRLF, and few extensions. The zero value is at the start.
type chunks struct {
	state     chunkState
	left      uint64 // of the size while it is read, then of the data
	digits    int
	extension int // bytes in the whole body
}

type chunkState uint8

const (
	inSize      chunkState = iota
	inExtension            // after the size, from ";" on
	atSizeLF
	inData
	atDataCR
	atDataLF
)

const (
	// maxSizeDigits keeps a size, leading zeros and all, far below any overflow in any reader.
	maxSizeDigits = 15

	// maxExtension bounds the extensions of a body. Nobody uses them, except to make a proxy work for nothing.
	maxExtension = 1 << 10
)

// step returns how many bytes of b belong to the body and are as they should be, and whether the last chunk's line has
// ended with them. On a fault, those before the first wrong byte are counted.
func (c *chunks) step(b []byte) (n int, done bool, fault *Fault) {
	for n < len(b) && !done && fault == nil {
		var k int
		k, _, done, fault = c.next(b[n:])
		n += k
	}
	return n, done, fault
}

// next is step up to the end of the first data in b, of which it returns as much as is there.
func (c *chunks) next(b []byte) (n int, data []byte, done bool, fault *Fault) {
	for n < len(b) {
		if c.state == inData {
			k := int(min(c.left, uint64(len(b)-n))) //nolint:gosec // not more than len(b)
			if c.left -= uint64(k); c.left == 0 {
				c.state = atDataCR
			}
			return n + k, b[n : n+k], false, nil
		}
		if fault := c.octet(b[n]); fault != nil {
			return n, nil, false, fault
		}
		n++
		if c.state == inData && c.left == 0 {
			return n, nil, true, nil
		}
	}
	return n, nil, false, nil
}

// octet takes one byte that is not data.
func (c *chunks) octet(b byte) *Fault {
	switch c.state {
	case inSize:
		return c.sizeOctet(b)
	case inExtension:
		if b == '\r' {
			c.state = atSizeLF
			return nil
		}
		if c.extension++; c.extension > maxExtension || b < ' ' && b != '\t' || b >= 0x7f {
			return badRequest("chunk-extension", "a chunk extension is too long or holds a character that is not allowed in it")
		}
		return nil
	case atSizeLF:
		if b == '\n' {
			c.state = inData
			return nil
		}
		return badRequest("chunk-size", "a chunk size does not end with CRLF")
	case atDataCR:
		if b == '\r' {
			c.state = atDataLF
			return nil
		}
	case atDataLF:
		if b == '\n' {
			c.state, c.left, c.digits = inSize, 0, 0
			return nil
		}
	case inData:
	}
	return badRequest("chunk-end", "a chunk is longer than its size, or does not end with CRLF")
}

func (c *chunks) sizeOctet(b byte) *Fault {
	digit, ok := hexDigit(b)
	switch {
	case ok && c.digits < maxSizeDigits:
		c.digits++
		c.left = c.left<<4 | uint64(digit)
		return nil
	case b == ';' && c.digits > 0:
		c.state = inExtension
		c.extension++
		if c.extension > maxExtension {
			return badRequest("chunk-extension", "there are too many chunk extensions")
		}
		return nil
	case b == '\r' && c.digits > 0:
		c.state = atSizeLF
		return nil
	}
	return badRequest("chunk-size", "a chunk size is not plain hexadecimal digits, or too many of them")
}

func hexDigit(b byte) (digit byte, ok bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}
