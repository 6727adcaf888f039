package main

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gracegate/gracegate/policy/clock"
)

// machineVariable names the file with what the clocks of a script's machine show.
const machineVariable = "SCRIPT_MACHINE"

// scriptMachine is the machine that a script runs on: this one, but that its wall clock may be off, that it is synchronised unless the
// script says something else, and that it can be started anew.
type scriptMachine struct{ file string }

// machineState is in the file. The zero value is this machine, synchronised.
type machineState struct {
	Ahead time.Duration // of the wall clock
	Sync  clock.Sync
	Boot  string
}

var thisMachine = clock.Machine()

func (m scriptMachine) state() machineState {
	s := machineState{Sync: clock.Synchronised}
	if m.file == "" {
		return s
	}
	text, err := os.ReadFile(m.file)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		panic(err)
	}
	return s
}

func (m scriptMachine) Read() clock.Reading {
	r := thisMachine.Read()
	r.Wall = r.Wall.Add(m.state().Ahead)
	return r
}

func (m scriptMachine) Sync() clock.Sync { return m.state().Sync }
func (m scriptMachine) Boot() string     { return thisMachine.Boot() + m.state().Boot }

// scriptMachineSet is the command machine [wall=INSTANT] [sync=yes|no] [boot=NAME]: the wall clock of the script's machine shows an instant
// from now on, a time server disciplines it or not, or the machine was started anew. What is left out stays.
func scriptMachineSet(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "machine [wall=INSTANT] [sync=yes|no] [boot=NAME]")
	name := ts.Getenv(machineVariable)
	s := machineState{Sync: clock.Synchronised}
	if name != "" {
		s = scriptMachine{name}.state()
	}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "wall":
			at, err := time.Parse(time.RFC3339, value)
			ts.Check(err)
			s.Ahead = time.Until(at)
		case "sync":
			s.Sync = map[string]clock.Sync{"yes": clock.Synchronised, "no": clock.NotSynchronised}[value]
		case "boot":
			s.Boot = value
		default:
			usage(ts, true, false, "machine [wall=INSTANT] [sync=yes|no] [boot=NAME]")
		}
	}
	text, err := json.Marshal(s)
	ts.Check(err)
	name = ts.MkAbs("machine.json")
	ts.Check(putFile(name, text))
	ts.Setenv(machineVariable, name)
}
