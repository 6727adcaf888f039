package main

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// stage is where a run takes place: its directory, the origin, and every server that was started.
type stage struct {
	dir              string
	files            int            // how many descriptors each process may have
	bench            string         // this program
	plain, tls, blob string         // where the origin listens
	syslog           string         // the socket for logs
	roots            *x509.CertPool // the origin's
	signer           *authority     // what peers sign with that take TLS apart
	hello            []byte
	origin           *server
	servers          []*server
}

// The certificates in the directory. Their keys are worth nothing to anybody, and end with the run.
const (
	originFile = "origin.pem" // with its key
	rootsFile  = "roots.pem"  // what the origin's certificate is verified against
	signerFile = "signer.pem" // with its key
)

// wantedFiles is how many descriptors a process may need: 9,000 tunnels of six each.
const wantedFiles = 1 << 16

// newStage makes a directory and starts the origin.
func newStage(ctx context.Context) (*stage, error) {
	files, err := raiseFiles()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gracegate-bench-")
	if err != nil {
		return nil, err
	}
	st := &stage{dir: dir, files: files, syslog: filepath.Join(dir, "log.sock")}
	if err := errors.Join(os.Chmod(dir, 0o777), st.startOrigin(ctx)); err != nil { //nolint:gosec // squid and tinyproxy write there as users of their own
		st.close()
		return nil, err
	}
	return st, nil
}

// raiseFiles raises the limit of descriptors, for this process and all that it starts, as far as it may.
func raiseFiles() (int, error) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, err
	}
	most := syscall.Rlimit{Cur: wantedFiles, Max: max(wantedFiles, files.Max)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &most) == nil {
		return wantedFiles, nil
	}
	files.Cur = min(files.Max, wantedFiles)
	return int(files.Cur), syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files) //nolint:gosec // not above wantedFiles
}

func (st *stage) startOrigin(ctx context.Context) (err error) {
	if st.bench, err = os.Executable(); err != nil {
		return err
	}
	if st.hello, err = makeHello(); err != nil {
		return err
	}
	if err := st.certificates(); err != nil {
		return err
	}
	for _, address := range []*string{&st.plain, &st.blob} {
		if *address, err = freeAddress(); err != nil {
			return err
		}
	}
	st.tls = "127.0.0.1:443" // so that a name alone says where; the namespace has no other server
	st.origin, err = st.start(ctx, "origin", st.plain, nil, st.bench, "origin",
		"-plain", st.plain, "-tls", st.tls, "-blob", st.blob, "-cert", originFile, "-syslog", st.syslog)
	return err
}

// start starts a server that ends with the stage.
func (st *stage) start(ctx context.Context, name, address string, env []string, argv ...string) (*server, error) {
	s, err := startServer(ctx, st.dir, name, address, env, argv...)
	if err == nil {
		st.servers = append(st.servers, s)
	}
	return s, err
}

// close ends all servers and removes the directory.
func (st *stage) close() {
	for _, s := range st.servers {
		s.stop()
	}
	_ = os.RemoveAll(st.dir)
}

// write writes a file in the directory.
func (st *stage) write(name, text string) error {
	full := filepath.Join(st.dir, name)
	return errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)) //nolint:gosec // others read it
}

// shortenLogs empties the logs that have been written so far, so that a long run does not fill the disk.
func (st *stage) shortenLogs() error {
	logs, err := filepath.Glob(filepath.Join(st.dir, "*.log"))
	for _, name := range logs {
		err = errors.Join(err, os.Truncate(name, 0))
	}
	return err
}

// certificates makes the origin's certificate and the authorities, and writes them.
func (st *stage) certificates() error {
	vendors, err := newAuthority("bench vendors")
	if err != nil {
		return err
	}
	st.roots = vendors.pool()
	if st.signer, err = newAuthority("bench peers"); err != nil {
		return err
	}
	origin, err := vendors.leaf(serverName, "*."+benchZone)
	if err != nil {
		return err
	}
	signer, err := st.signer.withKey()
	return errors.Join(err, st.write(rootsFile, certPEM(vendors.cert.Raw)), st.write(originFile, origin), st.write(signerFile, signer))
}
