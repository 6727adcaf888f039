package bundle

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"aead.dev/minisign"
)

// Key is a public key of minisign, made by [ParseKey].
type Key struct{ key minisign.PublicKey }

// ParseKey reads a public key: the text of its file, or the key alone, as minisign takes it behind -P. A text of more than one is an error.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, untrustedComment) {
		text = strings.TrimSpace(rest)
	}
	var k Key
	if err := k.key.UnmarshalText([]byte(text)); err != nil || k.String() != text { // of several lines the library takes one
		return Key{}, errors.New("no public key of minisign")
	}
	return k, nil
}

// String returns the key alone.
func (k Key) String() string { return k.key.String() }

// ID returns the id of the key as minisign shows it.
func (k Key) ID() string { return keyID(k.key.ID()) }

func keyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// File returns the text of the key's file.
func (k Key) File() []byte {
	return fmt.Appendf(nil, "untrusted comment: minisign public key %s\n%s\n", k.ID(), k)
}

// SecretKey signs bundles.
type SecretKey struct{ key minisign.PrivateKey }

// NewSecretKey makes a key.
func NewSecretKey() (*SecretKey, error) {
	_, key, err := minisign.GenerateKey(rand.Reader)
	return &SecretKey{key}, err
}

// Public returns the key that verifies what this one signs.
func (s *SecretKey) Public() Key {
	public, _ := s.key.Public().(minisign.PublicKey) // which it always is
	return Key{public}
}

// File returns the text of the key's file, encrypted unless the password is empty. Encrypting takes a GiB of memory and some seconds, as
// minisign does it.
func (s *SecretKey) File(password string) ([]byte, error) {
	text, err := s.key.MarshalText()
	if password != "" {
		text, err = minisign.EncryptKey(password, s.key)
	}
	return append(text, '\n'), err
}

// ErrPassword tells that a key could not be decrypted.
var ErrPassword = errors.New("the password is wrong, or the file is damaged")

// ParseSecretKey reads the file of a secret key. It asks for the password if the key is encrypted.
func ParseSecretKey(text []byte, password func() (string, error)) (*SecretKey, error) {
	var s SecretKey
	if !minisign.IsEncrypted(text) {
		if err := s.key.UnmarshalText(text); err != nil {
			return nil, errors.New("no secret key of minisign")
		}
		return &s, nil
	}
	p, err := password()
	if err != nil {
		return nil, err
	}
	if s.key, err = minisign.DecryptKey(p, text); err != nil {
		return nil, ErrPassword
	}
	return &s, nil
}

// sign returns the four lines of a signature.
func (s *SecretKey) sign(payload []byte, trusted, untrusted string) []byte {
	r := minisign.NewReader(bytes.NewReader(payload))
	_, _ = io.Copy(io.Discard, r) // from memory
	return r.SignWithComments(s.key, trusted, untrusted)
}

const (
	// maxSignature bounds the four lines of a signature.
	maxSignature = 4 << 10

	untrustedComment = "untrusted comment: "
)

// Looks tells whether a file looks like a bundle, by its first 8 KiB.
func Looks(head []byte) bool {
	_, payload, err := split(head)
	return err == nil && bytes.HasPrefix(payload, []byte("PK\x03\x04"))
}

// split takes the signature off what it signs.
func split(data []byte) (signature, payload []byte, err error) {
	if !bytes.HasPrefix(data, []byte(untrustedComment)) {
		if len(data) < len(untrustedComment) && strings.HasPrefix(untrustedComment, string(data)) {
			return nil, nil, refuse(Truncated, fetchAnew, "it ends within its signature")
		}
		return nil, nil, refuse(Malformed, "gracegate bundle sign makes one", "it does not begin with a signature of minisign")
	}
	end := 0
	for range 4 {
		i := bytes.IndexByte(data[end:min(len(data), maxSignature)], '\n')
		switch {
		case i >= 0:
			end += i + 1
		case len(data) < maxSignature:
			return nil, nil, refuse(Truncated, fetchAnew, "it ends within its signature")
		default:
			return nil, nil, refuse(Malformed, fetchAnew, "its signature is no signature of minisign")
		}
	}
	return data[:end], data[end:], nil
}

// verify returns what is signed, the trusted comment, and the id of the key.
func verify(data []byte, keys []Key) (payload []byte, comment, id string, err error) {
	text, payload, err := split(data)
	if err != nil {
		return nil, "", "", err
	}
	var s minisign.Signature
	if err := s.UnmarshalText(text); err != nil {
		return nil, "", "", refuse(Malformed, fetchAnew, "its signature is no signature of minisign")
	}
	id = keyID(s.KeyID)
	known := false
	for _, k := range keys {
		if k.key.ID() != s.KeyID {
			continue
		}
		known = true
		if minisign.Verify(k.key, payload, text) {
			return payload, s.TrustedComment, id, nil
		}
	}
	if !known {
		return nil, "", "", refuse(UnknownKey, "policy.keys names the keys of those who may sign; if this is one of theirs, add it there", "it is signed by the key %s, and trusted are %s", id, ids(keys))
	}
	// Not verified, so good for nothing but to say what is likely.
	if m := commentSize.FindStringSubmatch(s.TrustedComment); m != nil {
		if size, _ := strconv.Atoi(m[1]); size > len(payload) {
			return nil, "", "", refuse(Truncated, fetchAnew, "it is truncated: %d bytes of %d are there", len(payload), size)
		}
	}
	return nil, "", "", refuse(Signature, fetchAnew, "its signature is not one of what it holds: it was changed after it was signed with the key %s", id)
}

func ids(keys []Key) string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.ID()
	}
	return cmp.Or(strings.Join(all, ", "), "none")
}
