package clock

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A real time server: chronyd on a port of its own, which sets no clock (-x) and takes this machine's for right.
func TestChrony(t *testing.T) {
	t.Parallel()
	chronyd, err := exec.LookPath("chronyd")
	if err != nil {
		chronyd = "/usr/sbin/chronyd" // not in everybody's path
	}
	if _, err := os.Stat(chronyd); err != nil {
		t.Skip("chronyd is missing")
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := c.LocalAddr().(*net.UDPAddr).Port
	_ = c.Close()
	dir := t.TempDir()
	conf := fmt.Sprintf("port %d\nbindaddress 127.0.0.1\nallow 127.0.0.1\nlocal stratum 8\ncmdport 0\nbindcmdaddress /\npidfile %s/pid\n", port, dir)
	if err := os.WriteFile(filepath.Join(dir, "chrony.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), chronyd, "-x", "-d", "-U", "-f", filepath.Join(dir, "chrony.conf"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	server := NTP(fmt.Sprintf("127.0.0.1:%d", port))
	for start := time.Now(); ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		at, err := server.Ask(ctx)
		cancel()
		if err == nil {
			if off := time.Until(at); off.Abs() > 5*time.Second {
				t.Errorf("it says %s, off by %s", at, off)
			}
			return
		}
		if time.Since(start) > 30*time.Second {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("it does not answer: %v\n%s", err, text)
		}
	}
}
