package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

const (
	keyName    = "key"
	publicName = "key.pub"

	newPrefix = ".new-" // of files that are being written
)

// readKey reads the key that signs, or makes one for a new journal.
func readKey(dir string, fresh bool) (note.Signer, string, error) {
	secret, err := os.ReadFile(filepath.Join(dir, keyName))
	switch {
	case errors.Is(err, fs.ErrNotExist) && fresh:
		return makeKey(dir)
	case err != nil:
		return nil, "", err
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(secret)))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", filepath.Join(dir, keyName), err)
	}
	public, err := PublicKey(dir)
	if err != nil {
		return nil, "", err
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", filepath.Join(dir, publicName), err)
	}
	if verifier.Name() != signer.Name() || verifier.KeyHash() != signer.KeyHash() {
		return nil, "", fmt.Errorf("%s does not belong to %s", filepath.Join(dir, publicName), keyName)
	}
	return signer, public, nil
}

// PublicKey is the key that the checkpoints of a directory verify by.
func PublicKey(dir string) (string, error) {
	public, err := os.ReadFile(filepath.Join(dir, publicName))
	return strings.TrimSpace(string(public)), err
}

// makeKey makes a key under a name of its own, so that the checkpoints of two gateways are told apart.
func makeKey(dir string) (note.Signer, string, error) {
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, "", err
	}
	secret, public, err := note.GenerateKey(rand.Reader, "gracegate/"+hex.EncodeToString(id[:]))
	if err != nil {
		return nil, "", err
	}
	// The key is there only once its public half is: a start that was broken off in between begins anew.
	for _, f := range []struct{ name, text string }{{publicName, public}, {keyName, secret}} {
		if err := writeFile(filepath.Join(dir, f.name), []byte(f.text+"\n")); err != nil {
			return nil, "", err
		}
	}
	syncDir(dir)
	signer, err := note.NewSigner(secret)
	return signer, public, err
}

// syncDir brings the names of new files to the disk. Some systems cannot, and need not.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		_, _ = f.Sync(), f.Close()
	}
}

// writeFile writes a file whole or not at all.
func writeFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), newPrefix+"*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if it was renamed
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// CheckKey tells whether a text is a key that verifies.
func CheckKey(key string) error {
	_, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return fmt.Errorf("%.80q is no key: %w", strings.TrimSpace(key), err)
	}
	return nil
}
