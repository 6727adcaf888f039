package certs

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// The files of a CA.
const (
	rootCertificate         = "root.pem"
	rootPrivateKey          = "root.key"
	intermediateCertificate = "intermediate.pem"
	intermediatePrivateKey  = "intermediate.key"

	// staged is added to the name of the intermediate's new key until its certificate is in place: at every instant one of the
	// two keys is that of the certificate.
	staged = ".new"

	// unfinished begins the name of a file that is being written.
	unfinished = ".gracegate-ca-"
)

// RootFile returns the name of the file that a CA in dir has last: where it is, there is a CA.
func RootFile(dir string) string { return filepath.Join(dir, rootCertificate) }

// privateKey is the kind of PEM block that is for its owner alone.
const privateKey = "PRIVATE KEY"

// maxFile is more than any of the files needs.
const maxFile = 1 << 20

// FileError tells what is wrong with a file of a CA, or a directory, and what to do about it.
type FileError struct {
	Name string
	Err  error
	Hint string
}

func (e *FileError) Error() string { return fmt.Sprintf("CA: %s: %v", e.Name, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

// Store is where a CA is kept. One [Store.Init] or [Store.Renew] at a time works in a directory; [Load] needs not wait for it.
type Store struct {
	Dir        string
	RootKeyDir string // where the root's key is; if empty, in Dir with the rest

	// Removed is told of each file that a run left which was killed while it wrote. It may hold a key. If nil, nobody is told.
	Removed func(name string)
}

func (s Store) rootKeyFile() string {
	return filepath.Join(cmp.Or(s.RootKeyDir, s.Dir), rootPrivateKey)
}

// Init makes a root and an intermediate for zones, and writes them into directories, which it makes if need be. It overwrites
// nothing. Zones are 1 to [MaxZones] domain names.
func (s Store) Init(zones []host.Name, now time.Time) (*CA, error) {
	root, rootKey, err := newRoot(now)
	if err != nil {
		return nil, err
	}
	c, key, err := newIntermediate(root, rootKey, zones, now)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{s.Dir, filepath.Dir(s.rootKeyFile())} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, &FileError{d, reason(err), "choose a directory that may be written, with ca.dir or --offline-root"}
		}
	}
	unlock, err := s.lock(s.Dir, filepath.Dir(s.rootKeyFile()))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.vacant(); err != nil {
		return nil, err
	}
	if err := writeKey(s.rootKeyFile(), rootKey); err != nil {
		return nil, err
	}
	if err := writeIntermediate(s.Dir, c, key); err != nil {
		return nil, err
	}
	// Last: without it, Load takes nothing for a CA.
	return c, writeCertificate(RootFile(s.Dir), root)
}

// vacant refuses to write over files of a CA.
func (s Store) vacant() error {
	for _, name := range []string{
		RootFile(s.Dir), s.rootKeyFile(), filepath.Join(s.Dir, intermediateCertificate), filepath.Join(s.Dir, intermediatePrivateKey),
	} {
		if _, err := os.Lstat(name); err != nil {
			continue
		}
		if _, err := os.Lstat(RootFile(s.Dir)); err != nil {
			return &FileError{name, errors.New("is left of another CA or of an init that was interrupted: there is no root.pem in " + s.Dir), "move it away, and run gracegate ca init again"}
		}
		return &FileError{name, errors.New("there is a CA already"), "gracegate ca renew makes a new intermediate; to begin anew, move the old files away, and have all clients trust the new root"}
	}
	return nil
}

// Renew has the root sign a new intermediate with a new key, which replaces the old one. The root, which clients trust, stays.
func (s Store) Renew(zones []host.Name, now time.Time) (*CA, error) {
	root, err := readCertificate(RootFile(s.Dir))
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(s.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	rootKey, err := readKey(s.rootKeyFile())
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = &FileError{s.rootKeyFile(), fs.ErrNotExist, "--offline-root names the directory with root.key, if it is kept elsewhere"}
		}
		return nil, err
	}
	if public, ok := root.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(rootKey.Public()) {
		return nil, &FileError{s.rootKeyFile(), errors.New("is not the key of root.pem"), "--offline-root names the directory with the right root.key"}
	}
	c, key, err := newIntermediate(root, rootKey, zones, now)
	if err != nil {
		return nil, err
	}
	return c, writeIntermediate(s.Dir, c, key)
}

// Load reads a CA without the root's key, and refuses one that is not as [Init] makes it: other keys than ECDSA P-256, no
// critical name constraints, a key that others can read, a directory that others may write. It takes one that has ended, or has not
// begun: an [Issuer] has that sign nothing. While a renewal is at work, it returns the old pair or the new one.
func Load(dir string) (*CA, error) {
	root, err := readCertificate(RootFile(dir))
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, intermediateCertificate)
	for {
		intermediate, err := readCertificate(name)
		if err != nil {
			return nil, err
		}
		c, err := loadPair(dir, root, intermediate)
		if err == nil {
			return c, nil
		}
		// The key may be that of a certificate which came after ours.
		if again, readErr := readCertificate(name); readErr != nil || again.Equal(intermediate) {
			return nil, err
		}
	}
}

func loadPair(dir string, root, intermediate *x509.Certificate) (*CA, error) {
	name := filepath.Join(dir, intermediateCertificate)
	if err := checkPair(root, intermediate); err != nil {
		return nil, &FileError{name, err, "gracegate ca renew makes a new intermediate; if the root is wrong, move the files away and run gracegate ca init"}
	}
	keyFile := filepath.Join(dir, intermediatePrivateKey)
	c, err := withKey(root, intermediate, keyFile)
	if err == nil {
		return c, nil
	}
	// A renewal was interrupted before its last step, or has just taken it.
	for _, name := range []string{keyFile + staged, keyFile} {
		if c, lateErr := withKey(root, intermediate, name); lateErr == nil {
			return c, nil
		}
	}
	return nil, err
}

func withKey(root, intermediate *x509.Certificate, name string) (*CA, error) {
	key, err := readKey(name)
	if err != nil {
		return nil, err
	}
	c, err := ca(root, intermediate, key)
	if err != nil {
		return nil, &FileError{name, err, "restore both files of the intermediate from one backup, or run gracegate ca renew"}
	}
	return c, nil
}

// writeIntermediate puts certificate and key in place: whenever it is interrupted, Load finds the old pair or the new one.
func writeIntermediate(dir string, c *CA, key *ecdsa.PrivateKey) error {
	for _, step := range intermediateSteps(dir, c, key) {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// intermediateSteps are what writeIntermediate does, each in one step of the file system.
func intermediateSteps(dir string, c *CA, key *ecdsa.PrivateKey) []func() error {
	name := filepath.Join(dir, intermediatePrivateKey)
	return []func() error{
		func() error { return finishRenewal(dir) },
		func() error { return writeKey(name+staged, key) },
		func() error { return writeCertificate(filepath.Join(dir, intermediateCertificate), c.Intermediate()) },
		func() error { return unstage(name) },
	}
}

// finishRenewal does the last step of a renewal that was interrupted before it. The staged key is then the only one of the
// certificate, and staging another would lose it.
func finishRenewal(dir string) error {
	c, err := readCertificate(filepath.Join(dir, intermediateCertificate))
	if err != nil {
		return nil //nolint:nilerr // a certificate that cannot be read has no key to lose
	}
	name := filepath.Join(dir, intermediatePrivateKey)
	key, err := readKey(name + staged)
	if err != nil || !key.PublicKey.Equal(c.PublicKey) {
		return nil //nolint:nilerr // nothing is staged, or it is not in use
	}
	return unstage(name)
}

func unstage(name string) error {
	if err := os.Rename(name+staged, name); err != nil {
		return &FileError{name, reason(err), ""}
	}
	return syncDir(filepath.Dir(name))
}

func writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("certs: key: %w", err)
	}
	return writeFile(name, privateKey, der, 0o600)
}

func writeCertificate(name string, c *x509.Certificate) error {
	return writeFile(name, "CERTIFICATE", c.Raw, 0o644)
}

// writeFile writes a PEM file in one step.
func writeFile(name, kind string, der []byte, mode fs.FileMode) error {
	failed := func(err error) error { return &FileError{name, reason(err), ""} }
	tmp, err := os.CreateTemp(filepath.Dir(name), unfinished+"*") // 0600
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already if it was renamed
	err = pem.Encode(tmp, &pem.Block{Type: kind, Bytes: der})
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return failed(err)
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes a rename last. Where a system cannot, it lasts as long as the system runs.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil //nolint:nilerr // the files themselves are written
	}
	_ = d.Sync()
	return d.Close()
}

func readCertificate(name string) (*x509.Certificate, error) {
	der, err := readPEM(name, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, &FileError{name, fmt.Errorf("is no certificate: %w", err), "restore it from a backup"}
	}
	return c, nil
}

func readKey(name string) (*ecdsa.PrivateKey, error) {
	if err := guarded(filepath.Dir(name)); err != nil {
		return nil, err
	}
	der, err := readPEM(name, privateKey)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, &FileError{name, errors.New("is no private key in PKCS #8"), "restore it from a backup"}
	}
	if ec, ok := key.(*ecdsa.PrivateKey); ok && ec.Params().BitSize == 256 {
		return ec, nil
	}
	return nil, &FileError{name, fmt.Errorf("is a key of another kind than ECDSA P-256 (%T)", key), "gracegate ca init makes the right kind"}
}

func readPEM(name, kind string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, missing(name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
		err = errors.New("is no file of a CA")
	}
	if err == nil && kind == privateKey {
		err = private(name, info) // of the very file that is read
	}
	if err != nil {
		return nil, missing(name, err)
	}
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil && len(data) > 0 {
		return nil, missing(name, err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, &FileError{name, fmt.Errorf("holds no %s in PEM", kind), "restore it from a backup"}
	}
	return block.Bytes, nil
}

func missing(name string, err error) error {
	if file, ok := errors.AsType[*FileError](err); ok {
		return file
	}
	hint := ""
	if errors.Is(err, fs.ErrNotExist) {
		hint = "gracegate ca init makes a CA; if there was one, restore the file from a backup"
	}
	if errors.Is(err, fs.ErrPermission) {
		hint = "the CA belongs to the user who runs gracegate serve: chown its directory and files"
	}
	return &FileError{name, reason(err), hint}
}

// reason is an error without the name of the file, which is told anyway.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.Err
	}
	return err
}
