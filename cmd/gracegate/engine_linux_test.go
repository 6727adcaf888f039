package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// composition is docs/gateway/docker-compose.yml, run by the container engine of this machine. It goes away with the test, and its images
// with it.
type composition struct {
	t       *testing.T
	project string
	command []string // docker compose with its files
	client  string   // the container of the client
	clock   string   // where the gateway's policy clock starts; empty: where the file says
}

// needEngine finds how this machine runs compositions. It skips a test where no engine answers; where one does, CI may lack nothing.
func needEngine(t *testing.T) (compose []string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", "info").CombinedOutput(); err != nil {
		t.Skipf("no container engine answers: docker info: %v: %s", err, out)
	}
	needNamespaces(t, "dpkg", "apt-cache", "tar", "curl", "nft", "dnsmasq", "python3")
	for _, compose := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if exec.CommandContext(t.Context(), compose[0], append(compose[1:], "version")...).Run() == nil {
			return compose
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no docker compose")
	}
	t.Skip("there is no docker compose")
	return nil
}

// newComposition builds the images, from the checkout and on a base that is made of this machine's Debian, and starts everything.
func newComposition(t *testing.T) *composition {
	t.Helper()
	compose := needEngine(t)
	c := &composition{t: t, project: fmt.Sprint("gracegate-test-", os.Getpid())}
	base, built := c.project+"-base", c.project+"-build"
	images := map[string]string{"router": c.project + "-router", "client": c.project + "-client"}
	t.Cleanup(func() {
		for _, image := range []string{images["router"], images["client"], built, base} {
			_ = exec.Command("docker", "image", "rm", "--force", image).Run() // it may not have come to that
		}
	})
	importBase(t, base)
	// By itself, since the older builder would leave it without a name.
	c.docker("build", "--target", "build", "--build-arg", "GO_IMAGE="+base, "--build-arg", "DEBIAN_IMAGE="+base, "--tag", built, "../..")

	override := filepath.Join(t.TempDir(), "override.yml")
	services := map[string]any{}
	for _, name := range []string{"router", "gateway", "vendor", "other", "nas", "resolver", "client"} {
		image := "router"
		if name == "client" {
			image = name
		}
		services[name] = map[string]any{"image": images[image], "build": map[string]any{
			"args": map[string]string{"GO_IMAGE": base, "DEBIAN_IMAGE": base},
		}}
	}
	text, err := json.Marshal(map[string]any{"services": services})
	if err == nil {
		err = os.WriteFile(override, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.command = append(compose, "--project-name", c.project, "--file", "../../docs/gateway/docker-compose.yml", "--file", override)
	c.compose("build", "router", "client")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.compose("logs", "--no-color", "--tail", "50")) //nolint:misspell // the flag is spelt so
		}
		c.compose("down", "--volumes", "--timeout", "1")
	})
	c.compose("up", "--detach", "--no-build")
	c.client = c.container("client")
	return c
}

// standIns are programs for the stages of Dockerfile on a base that has all they would bring: go copies the program that is there, and
// apt-get has nothing to do.
var standIns = map[string]string{
	"usr/local/bin/go":      "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" != -o ] || install -D /gracegate \"$2\"; shift; done\n",
	"usr/local/bin/apt-get": "#!/bin/sh\n",
	"etc/passwd":            "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
	"etc/group":             "root:x:0:\nnogroup:x:65534:\n",
}

// importBase makes an image of the packages of this machine that the images here install or expect, and of the program.
func importBase(t *testing.T, image string) {
	t.Helper()
	stage := t.TempDir()
	binary := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(stage, "gracegate"), ".")
	binary.Env = append(os.Environ(), "CGO_ENABLED=0")
	mustRun(t, binary)
	for name, text := range standIns {
		name = filepath.Join(stage, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	const script = `
set -e
packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
	base-files bash coreutils dash grep util-linux ca-certificates curl dnsmasq-base iproute2 nftables python3-minimal | grep '^[a-z]' | sort -u)
{
	dpkg --listfiles $packages 2>/dev/null | grep '^/[a-z]' | grep -v -E '^/usr/share/(doc|man|locale|info)/' |
		sed -E 's,^/(bin|sbin|lib|lib64)/,/usr&,' | sort -u
	echo /etc/ssl/certs/ca-certificates.crt
} | tar --create --no-recursion --ignore-failed-read --absolute-names --files-from=- --directory="$1" --recursion . | docker import - "$2"
`
	mustRun(t, exec.CommandContext(t.Context(), "sh", "-c", script, "sh", stage, image))
}

// docker runs docker, and returns what it printed.
func (c *composition) docker(args ...string) string {
	c.t.Helper()
	return c.output(exec.Command("docker", args...))
}

// compose runs docker compose on the composition.
func (c *composition) compose(args ...string) string {
	c.t.Helper()
	return c.output(exec.Command(c.command[0], append(c.command[1:], args...)...))
}

func (c *composition) output(cmd *exec.Cmd) string {
	c.t.Helper()
	cmd.Env = os.Environ()
	if c.clock != "" {
		cmd.Env = append(cmd.Env, "CLOCK_AT="+c.clock)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("%v: %v\n%s%s", cmd, err, &out, &errs)
	}
	return strings.TrimSpace(out.String())
}

// container is the name of the one container of a service.
func (c *composition) container(service string) string {
	c.t.Helper()
	return c.compose("ps", "--quiet", service)
}

// curl is curl in the client, where nothing says that there is a proxy.
func (c *composition) curl(args ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"exec", c.client, "curl", "--silent", "--insecure", "--max-time", "60"}, args...)...)
}

// expect has curl get this status and end with this exit code; want is a pattern.
func (c *composition) expect(what, want string, args ...string) {
	c.t.Helper()
	if got := c.status(args...); !regexp.MustCompile("^" + want + "$").MatchString(got) {
		c.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// status is what curl gets, and its exit code.
func (c *composition) status(args ...string) string {
	c.t.Helper()
	cmd := c.curl(append([]string{"--output", "/dev/null", "--write-out", "%{http_code}"}, args...)...)
	status, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		c.t.Errorf("%v: %v", cmd, err)
		return ""
	}
	return fmt.Sprintf("%s %d", status, cmd.ProcessState.ExitCode())
}

// partition takes a service out of a network, and returns what puts it back.
func (c *composition) partition(service, network, addr string) (heal func()) {
	c.t.Helper()
	network, container := c.project+"_"+network, c.container(service)
	c.docker("network", "disconnect", network, container)
	return func() {
		c.t.Helper()
		c.docker("network", "connect", "--ip", addr, network, container)
	}
}

// namespace is the network namespace of a service.
func (c *composition) namespace(service string) *namespace {
	c.t.Helper()
	ns := &namespace{t: c.t, name: c.project + "-" + service}
	mustRun(c.t, exec.Command("ip", "netns", "attach", ns.name, c.docker("inspect", "--format", "{{.State.Pid}}", c.container(service))))
	c.t.Cleanup(func() { mustRun(c.t, exec.Command("ip", "netns", "delete", ns.name)) })
	return ns
}
