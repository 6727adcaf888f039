package proxy

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// realParent is a program that is a proxy, on a free port.
type realParent struct {
	program string
	config  func(t *testing.T, dir, addr string, origins []string) string
	args    []string // before the name of the configuration
	refused int      // what it answers where it cannot connect
	wrong   int      // what a client gets to a plain request if the log-in is wrong
}

var realParents = []realParent{
	{
		program: "tinyproxy", args: []string{"-d", "-c"}, refused: http.StatusInternalServerError,
		wrong: http.StatusUnauthorized, // by which it means 407
		config: func(_ *testing.T, _, addr string, _ []string) string {
			at, port, _ := net.SplitHostPort(addr)
			return fmt.Sprintf("Listen %s\nPort %s\nAllow 127.0.0.1\nBasicAuth gate s3cret\nLogLevel Critical\nMaxClients 100\n", at, port)
		},
	},
	{
		// By its own rules, it lets CONNECT through to a few ports alone.
		program: "squid", args: []string{"-N", "-f"}, refused: http.StatusServiceUnavailable, wrong: http.StatusBadGateway,
		config: func(t *testing.T, dir, addr string, origins []string) string {
			t.Helper()
			hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
			if err != nil {
				t.Fatal(err)
			}
			writeFor(t, "proxy", filepath.Join(dir, "users"), "gate:"+strings.Replace(string(hash), "$2a$", "$2y$", 1)+"\n")
			_, secure, _ := net.SplitHostPort(origins[1])
			return fmt.Sprintf(`http_port %[1]s
auth_param basic program /usr/lib/squid/basic_ncsa_auth %[2]s/users
auth_param basic children 1
acl SSL_ports port %[3]s 1
acl users proxy_auth REQUIRED
http_access deny CONNECT !SSL_ports
http_access allow users
http_access deny all
cache deny all
access_log none
cache_log /dev/null
pid_filename none
coredump_dir %[2]s
pinger_enable off
shutdown_lifetime 0 seconds
`, addr, dir, secure)
		},
	},
}

// writeFor writes a file for a user of the system to read, if there is that user and we may.
func writeFor(t *testing.T, name, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if u, err := user.Lookup(name); err == nil && os.Geteuid() == 0 {
		uid, _ := strconv.Atoi(u.Uid)
		_ = os.Chown(file, uid, -1)
		for dir := filepath.Dir(file); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			_ = os.Chmod(dir, 0o755)
		}
	}
}

// start runs the program for these origins, and returns its address.
func (p *realParent) start(t *testing.T, origins ...string) string {
	t.Helper()
	path, err := exec.LookPath(p.program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", p.program)
		}
		t.Skipf("%s is not installed", p.program)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dir := t.TempDir()
	name := filepath.Join(dir, "config")
	writeFor(t, "proxy", name, p.config(t, dir, addr, origins))
	var said strings.Builder
	cmd := exec.Command(path, append(p.args, name)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = &said, &said, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for timeout := time.After(patience); ; {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return addr
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %v\n%s", p.program, cmd.ProcessState, said.String())
		case <-timeout:
			t.Fatalf("%s does not listen", p.program)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// The proxies that people have, with a log-in, as a parent.
func TestRealParents(t *testing.T) {
	t.Parallel()
	for _, p := range realParents {
		t.Run(p.program, func(t *testing.T) {
			t.Parallel()
			plain := webOrigin(t, greet)
			cfg, roots, _ := secureConfig(t)
			secure := webServer(t, http.HandlerFunc(greet), cfg)
			addr := p.start(t, plain.addr, secure.addr)
			rig := func(password string) *looker {
				return newLooker(t, rigSetup{
					allow: []string{"127.0.0.0/8"}, parent: parentAt(addr, "gate", password),
					change: func(c *Config) { c.Ports = func(uint16) bool { return true } },
				}, roots)
			}
			r := rig("s3cret")
			for _, method := range []string{http.MethodGet, http.MethodGet, http.MethodOptions} {
				if a := r.do(method, "http://"+plain.addr+"/", nil).want(t, http.StatusOK); a.body != "hello from the origin" {
					t.Errorf("%s: %q", method, a.body)
				}
			}
			b := r.browser(false)
			b.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots
			b.Transport.(*http.Transport).TLSClientConfig.ServerName = "free.example"
			if a := r.look(b, "https://"+secure.addr+"/").want(t, http.StatusOK); a.body != "hello from the origin" {
				t.Errorf("through a tunnel: %q", a.body)
			}
			if a := r.refused("127.0.0.1:1", "", http.StatusBadGateway); !strings.Contains(a.body, fmt.Sprint("answered with the status ", p.refused)) {
				t.Errorf("to a closed port: %s", a.body)
			}

			r = rig("wrong")
			for _, method := range []string{http.MethodGet, http.MethodOptions} {
				r.do(method, "http://"+plain.addr+"/", nil).want(t, p.wrong)
			}
			if a := r.refused(secure.addr, "", http.StatusBadGateway); !strings.Contains(a.body, "answered with the status 40") {
				t.Errorf("a tunnel with a wrong password: %s", a.body)
			}
		})
	}
}
