package main

import (
	"encoding/binary"
	"encoding/json"
	"net"
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
	ts.Check(putFile(name, nil, 0o600, contents(text)))
	ts.Setenv(machineVariable, name)
}

// scriptTimeServer is the command timeserver AHEAD: a time server that is so far ahead of this machine answers on $TIMESERVER, HOST:PORT, until
// the end of the script.
func scriptTimeServer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "timeserver AHEAD")
	ahead, err := time.ParseDuration(args[0])
	ts.Check(err)
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = c.Close() })
	ts.Setenv("TIMESERVER", c.LocalAddr().String())
	go func() {
		ask := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(ask)
			if err != nil {
				return
			}
			if n >= 48 {
				_, _ = c.WriteTo(timeAnswer(ask, time.Now().Add(ahead)), from)
			}
		}
	}()
}

// timeAnswer is what an NTP server of stratum 2 answers at an instant (RFC 5905, section 7.3).
func timeAnswer(ask []byte, at time.Time) []byte {
	const from1900 = 2208988800                                           // in seconds, to 1970
	answer := append(make([]byte, 0, 48), 4<<3|4, 2, 6, 0xec)             // version 4, mode server
	answer = append(answer, make([]byte, 12)...)                          // its distance from the source, which has no name
	seconds := uint32(at.Unix() + from1900)                               // modulo 2^32
	answer = binary.BigEndian.AppendUint64(answer, uint64(seconds-1)<<32) // when it was last set
	answer = append(answer, ask[40:48]...)                                // when the client asked, by the client
	for range 2 {                                                         // when that came, and when this goes
		answer = binary.BigEndian.AppendUint32(answer, seconds)
		answer = binary.BigEndian.AppendUint32(answer, uint32(uint64(at.Nanosecond())<<32/1e9))
	}
	return answer
}
