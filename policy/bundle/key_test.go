package bundle

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func noPassword() (string, error) { return "", errors.New("a password is asked for") }

func TestKeysAreReadBack(t *testing.T) {
	t.Parallel()
	key, err := NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.File("")
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSecretKey(text, noPassword)
	if err != nil || again.Public().String() != key.Public().String() {
		t.Fatalf("the secret key: %v", err)
	}
	for _, text := range []string{string(key.Public().File()), key.Public().String(), " " + key.Public().String() + "\r\n"} {
		if k, err := ParseKey(text); err != nil || k.String() != key.Public().String() {
			t.Errorf("%q: %v", text, err)
		}
	}
	two := testKey(t, 1).Public()
	for _, text := range []string{
		"", "RWQ", "untrusted comment: x\n", key.Public().String()[1:], key.Public().String() + "\n" + two.String(),
		string(key.Public().File()) + string(two.File()), string(key.Public().File()) + two.String(),
	} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%q is a key", text)
		}
		if _, err := ParseSecretKey([]byte(text), noPassword); err == nil {
			t.Errorf("%q is a secret key", text)
		}
	}
}

// encrypted is the key of seed 1 under "correct horse", with less work for the password than minisign's parameters take.
const encrypted = `untrusted comment: minisign encrypted secret key
RWRTY0IyBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcAgAAAAAAAAAAAIAAAAAAApdjtl79dILQY+6NEfO8/UAq1RLihzqlpMrbRXm50ygLCvUb4qCGqZWhMbzPM6WNqnpIu2asA8zmt4s1ReMp5zfBotGhyINVLDib41nhGkPOEKHzFYqj7+s3pgnPDwaGpqln/oGOSnX8=
`

func TestKeyWithAPassword(t *testing.T) {
	t.Parallel()
	key, err := ParseSecretKey([]byte(encrypted), func() (string, error) { return "correct horse", nil })
	if err != nil || key.Public().String() != testKey(t, 1).Public().String() {
		t.Errorf("the right password: %v", err)
	}
	if _, err := ParseSecretKey([]byte(encrypted), func() (string, error) { return "battery staple", nil }); !errors.Is(err, ErrPassword) {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := ParseSecretKey([]byte(encrypted), noPassword); err == nil || errors.Is(err, ErrPassword) {
		t.Errorf("no password: %v", err)
	}
}

// minisign verifies our bundles with our keys, and signs with them; and we take its keys.
func TestMinisign(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("minisign"); err != nil {
		t.Skip("minisign is not installed")
	}
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("minisign", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("minisign %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}

	ours := testKey(t, 1)
	signature, payload, err := split(made(t, manifest(), ours))
	if err != nil {
		t.Fatal(err)
	}
	write("site.zip", payload)
	write("site.zip.minisig", signature)
	write("ours.pub", ours.Public().File())
	const says = "gracegate bundle version 12, created 2026-11-29T12:00:00Z, expires 2027-02-27T12:00:00Z, "
	if out := run("-V", "-m", "site.zip", "-p", "ours.pub"); !strings.Contains(out, says) {
		t.Errorf("minisign says %q", out)
	}
	run("-V", "-m", "site.zip", "-P", ours.Public().String())

	secret, err := ours.File("")
	if err != nil {
		t.Fatal(err)
	}
	write("ours.key", secret)
	run("-S", "-s", "ours.key", "-m", "site.zip", "-x", "again.minisig", "-t", "by minisign")
	run("-V", "-m", "site.zip", "-x", "again.minisig", "-P", ours.Public().String())

	run("-G", "-W", "-p", "theirs.pub", "-s", "theirs.key")
	theirs, err := ParseSecretKey(read("theirs.key"), noPassword)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParseKey(string(read("theirs.pub")))
	if err != nil || public.String() != theirs.Public().String() {
		t.Fatalf("the keys of minisign: %v", err)
	}
	if _, err := Read(made(t, manifest(), theirs), []Key{public}); err != nil {
		t.Error(err)
	}
}
