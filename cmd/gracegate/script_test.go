package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the expected output in testdata/script anew")

// programs are what this binary runs as under another name.
var programs = map[string]func(){"gracegate": func() {
	kernel = scriptMachine{os.Getenv(machineVariable)}
	main()
}}

func TestMain(m *testing.M) { testscript.Main(m, programs) }

// TestScript runs what is in testdata/script: the program as a user runs it, each script in a directory of its own. Besides
// the commands of testscript there are
//
//	exits CODE COMMAND...    run a command, which must end with this code
//	until PATTERN COMMAND... run a command again and again, until its standard output matches
//
// and that of ca_test.go for a CA of long ago, those of machine_test.go for clocks that are set, and those of serve_test.go and systemd_test.go, for a gateway that runs while the script does. The condition [ci] holds where nothing that a
// script needs may be missing.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(word string) (bool, error) {
			if word == "ci" {
				return os.Getenv("CI") == "true", nil
			}
			return false, fmt.Errorf("no condition is called %q", word)
		},
		Setup: func(env *testscript.Env) error {
			env.Values[gateKey{}] = new(gate)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home")) // where the data directory is, unless it is named
			env.Setenv("GORACE", "atexit_sleep_ms=0")              // or each process under the race detector takes a second to end
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": scriptExits, "until": scriptUntil,
			"serve": scriptServe, "origin": scriptOrigin, "logged": scriptLogged, "signal": scriptSignal, "stopped": scriptStopped,
			"questions": scriptQuestions, "publisher": scriptPublisher, "machine": scriptMachineSet, "timeserver": scriptTimeServer, "ca-made": scriptCAMade, "systemd": scriptSystemd, "notified": scriptNotified, "trickle": scriptTrickle,
		},
	})
}

func usage(ts *testscript.TestScript, neg, fits bool, text string) {
	if neg || !fits {
		ts.Fatalf("usage: %s", text)
	}
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "exits CODE COMMAND...")
	err := ts.Exec(args[1], args[2:]...)
	if got := exitCode(ts, err); strconv.Itoa(got) != args[0] {
		ts.Fatalf("it ended with %d, want %s", got, args[0])
	}
}

// exitCode takes apart what ts.Exec and exec.Cmd return.
func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	ts.Fatalf("%v", err)
	return 0
}

func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "until PATTERN COMMAND...")
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for !pattern.MatchString(ts.ReadFile("stdout")) { // go test ends what never does
		ts.Check(ts.Exec(args[1], args[2:]...))
	}
}
