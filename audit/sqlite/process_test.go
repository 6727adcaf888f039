package sqlite

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inChild is set for the process that TestChild is.
const inChild = "GRACEGATE_TEST_CHILD"

// databaseName is that of the database in the directory of such a process.
const databaseName = "seen.db"

// TestChild is another process: it adds without end, and says so each time.
func TestChild(t *testing.T) {
	if os.Getenv(inChild) == "" {
		t.Skip("only for the tests that start it")
	}
	d, err := Open(t.Context(), databaseName)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	from := nextOf(t, d.Reader)
	for {
		n := 1 + from%100
		add(t, d, from, from+n, sums(rand.New(rand.NewPCG(from, 1)), int(n), 3))
		from += n
		if _, err := fmt.Fprintln(os.Stdout, "added"); err != nil {
			t.Fatal(err)
		}
	}
}

// child starts another process that adds, and returns once it did so a number of times and is about to do so again.
func child(t *testing.T, dir string, times int) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestChild$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), inChild+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for range times {
		if line, err := lines.ReadString('\n'); line != "added\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, is := errors.AsType[*exec.ExitError](cmd.Wait()); !is {
		t.Fatal("it ended by itself")
	}
}

// Wherever a process is killed, the sums are those of the records up to the cursor.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, databaseName)
	rnd, before := rand.New(rand.NewPCG(1, 9)), uint64(0)
	for range 20 {
		cmd := child(t, dir, 1+rnd.IntN(20))
		kill(t, cmd)
		r, err := OpenReader(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		next, flows := nextOf(t, r), flowsOf(allOf(t, r))
		if next != flows || next <= before {
			t.Errorf("%d flows up to record %d, after record %d", flows, next, before)
		}
		before = next
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, path)
	add(t, d, before, before+1, distinct(1, graceEnds))
}

// A report reads while the gateway, another process, writes; a second gateway is told why it cannot.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, databaseName)
	cmd := child(t, dir, 1)
	defer kill(t, cmd)
	_, err := Open(t.Context(), path)
	checkRefusal(t, "a second writer", path, err, ErrInUse, "in use by another process", "stop the other gracegate")
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for before := nextOf(t, r); ; {
		flows := flowsOf(allOf(t, r))
		if after := nextOf(t, r); flows < before || flows > after {
			t.Fatalf("%d flows, between records %d and %d", flows, before, after)
		} else if after > before {
			return
		}
	}
}

// The lock stays with the process, though its file stays there.
func TestLockIsGivenUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seen.db")
	for range 2 {
		d, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "absent", "seen.db")); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("without its directory: %v", err)
	}
}
