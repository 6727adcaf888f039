package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
)

// FuzzRead is given files as strangers make them: none but ours may be taken for good.
func FuzzRead(f *testing.F) {
	key := testKey(f, 1)
	good := made(f, manifest(), key)
	f.Add(good)
	f.Add(made(f, manifest(), testKey(f, 2)))
	f.Add(good[:len(good)/2])
	f.Add([]byte(untrustedComment + "\n\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Read(data, []Key{key.Public()})
		if err == nil {
			if _, payload, _ := split(data); b.Digest != digestOf(payload) || len(payload) == 0 {
				t.Error("it has another digest")
			}
			_, payload, _ := split(good)
			if b.Digest != digestOf(payload) {
				t.Errorf("a forgery is taken for good: %q", data)
			}
			return
		}
		if _, ok := errors.AsType[*RefusedError](err); !ok {
			t.Errorf("%T: %v", err, err)
		}
	})
}

// FuzzOpen is given what a signature would stand for: whatever is taken has the members of its manifest, and not more than was given.
func FuzzOpen(f *testing.F) {
	key := testKey(f, 1)
	_, payload, err := split(made(f, manifest(), key))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	for _, tt := range refusedForgeries {
		_, payload, err := split(tt.forged.sign(f, key))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := open(slices.Clone(payload))
		if err != nil {
			if _, ok := errors.AsType[*RefusedError](err); !ok {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		total := 0
		for _, m := range b.Members {
			text, ok := b.Member(m.Name)
			if !ok || int64(len(text)) != m.Size || digestOf(text) != m.SHA256 || checkName(m.Name) != nil {
				t.Errorf("member %q is not as the manifest says", m.Name)
			}
			total += len(text)
		}
		if total > len(payload) || len(b.members) != len(b.Members) {
			t.Errorf("%d bytes hold %d of members", len(payload), total)
		}
	})
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
