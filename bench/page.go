package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The notes of the page are written by hand and stay when it is written anew.
const (
	notesBegin = "<!-- notes -->\n"
	notesEnd   = "<!-- end of notes -->\n"
)

// method says how it is measured, with the rounds, the length of a slice, and what it takes before and after.
const method = `## How it is measured

Everything runs on one machine in one run, on loopback addresses of a network namespace of its own: each proxy, the origin, and the
load, each in a process of its own. A row of work has %d rounds; in a round each proxy gets the same load for %v, after %v of warming up, in an order that
moves on by one each round. The load is closed: a number of clients, each of which sends when it has the answer to the last,
and every answer is looked at (status, length; of bulk the bytes at the edges of each read).

The CPU time is that of the proxy's process, user and system, and of its children. On loopback the kernel receives on the
time of who sends, for every proxy alike. A ratio is taken in each round, and shown is the median with the
quartiles. **Below 1 gracegate takes less CPU.** Rates are of a machine on which the proxy shares its cores with the load and the
origin; they say less.

Each peer runs as its Debian package ships it, with its log on, and on as many cores as it takes by itself: squid with one worker,
an access log through its daemon (counted) and without a cache; haproxy with a thread a core, httplog to a syslog socket, and ` + "`http-reuse always`" + `,
but without Debian's page for 403, which closes the connection; tinyproxy with a log file and more clients than its 100. gracegate
runs with policy, hello check and record (to a file) on: the names are governed and in their grace period, or, for refusals, past
the deadline. "Ungoverned" is a name that no policy governs, which is judged and not recorded. The raw relay reads the head of CONNECT,
dials, and copies with io.Copy, which splices; goproxy is bare, with a transport that keeps connections.

What is not quite alike: haproxy is no forward proxy. Its plain requests go to a fixed server, and it hands CONNECT on to an origin
that answers it. tinyproxy keeps no connections. Names reach gracegate's origin by ` + "`upstream.hosts`" + `, the others are asked for an address, and
squid, which looks up addresses, finds them in its hosts file, so that nobody asks a DNS server. Bulk is plain bytes behind a TLS hello, since TLS is the business of both ends. TLS is 1.3 with X25519 and
ECDSA P-256, no session is resumed but where a row says so. A row of idle tunnels is measured in a process that has done nothing else, after %v of rest; a peer
that takes more descriptors a tunnel than there are has fewer tunnels.

**Intercepted:** each proxy signs with an ECDSA P-256 authority, verifies the origin's certificate against the run's own, and speaks HTTP/1.1 on both
sides; the load refuses a certificate that is not the proxy's or whose key is of another type. gracegate's policy blocks a path of the zone, so that
it must see every request. It and squid (` + "`ssl_bump bump all`" + `, which signs before it asks the origin) and goproxy keep connections to the origin for
all clients; mitmproxy has one for each client. Nobody asks a DNS server for the names: gracegate and squid have them in a list, goproxy's dialer and a line of Python in
mitmproxy take all to the origin. mitmproxy keeps no log. goproxy is bare but for a map of all leaves that it has signed. squid's helper signs without its
store on disk, which takes longer than to sign. "direct" is the load at the origin itself: its figures are the origin's, of one handshake
or one answer. 10,000 names are asked for in shares, one a round, each name once in the run; the origin closes after the answer, so that each also takes a handshake
with the origin: "1 name" is the same without a new leaf. They are not asked of mitmproxy unless it is chosen, which would take minutes, and their memory only of those that keep all
of their leaves: mitmproxy keeps 100, squid as many as fit in a number of bytes. Memory is that of a process that has had %d connections to one name, and
how much more it is after 10,000 to a name each.

`

// page writes what was measured.
func (d *driver) page(began time.Time, load string, m measured) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Performance\n\n`bench/run.sh` measures this and writes this page; only the notes are written by hand.\n\n"+
		"Measured on %s, in %.0f minutes. %s. Load of the machine before: %s.\n\n",
		began.UTC().Format("2006-01-02"), time.Since(began).Minutes(), machine(), load)
	summary := table{head: []string{"work", "reach, of its CPU", "then go for"}}
	for _, r := range m.results {
		summary.add(r.title, r.judge(true), r.judge(false))
	}
	if len(m.leaves) > 0 {
		summary.add(leavesTitle, judgeLeaves(m.leaves), "")
	}
	if len(m.tunnels) > 0 {
		summary.add(idleTitle(d.tunnels), judgeIdle(m.tunnels, 16), judgeIdle(m.tunnels, 12))
	}
	b.WriteString(summary.markdown())
	fmt.Fprintf(&b, method, d.rounds, d.slice, warming, settling, leafWarmth)
	b.WriteString("## Figures\n\n")
	for _, r := range m.results {
		fmt.Fprintf(&b, "### %s\n\n%s", capital(r.title), r.table().markdown())
	}
	if len(m.leaves) > 0 {
		fmt.Fprintf(&b, "### %s\n\n%s", capital(leavesTitle), leavesTable(m.leaves).markdown())
	}
	if len(m.tunnels) > 0 {
		fmt.Fprintf(&b, "### %s\n\n%s", capital(idleTitle(d.tunnels)), idleTable(m.tunnels).markdown())
	}
	b.WriteString("## Versions\n\n")
	versions := table{head: []string{"what", "version"}}
	versions.add("Go", runtime.Version())
	for _, p := range slices.Concat(d.peers, d.inside) {
		if told := p.version != nil; told && !slices.ContainsFunc(versions.rows, func(cells []string) bool { return cells[0] == p.name }) {
			versions.add(p.name, p.version())
		}
	}
	b.WriteString(versions.markdown())
	b.WriteString("## Notes\n\n")
	return b.Bytes()
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// writePage writes the page to a file, and keeps the notes of the one that is there.
func writePage(name string, text []byte) error {
	notes, err := notesOf(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, notesBegin+notes+notesEnd...), 0o644) //nolint:gosec // a page to read
}

// notesOf returns what stands between the marks; nothing if there is no such file.
func notesOf(name string) (string, error) {
	old, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "\n", nil
	}
	_, rest, begins := strings.Cut(string(old), notesBegin)
	notes, _, ends := strings.Cut(rest, notesEnd)
	if err == nil && (!begins || !ends) {
		err = fmt.Errorf("%s has no notes between %q and %q, and is not overwritten", name, notesBegin, notesEnd)
	}
	return notes, err
}

var cpuModel = regexp.MustCompile(`(?m)^model name\s*: (.*)$`)

// machine tells what this runs on.
func machine() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	model := "an unknown processor"
	if found := cpuModel.FindStringSubmatch(string(info)); found != nil {
		model = found[1]
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	return fmt.Sprintf("Machine: %s, %d cores, Linux %s", model, runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]))
}

// loadAverage is what the machine was busy with.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return cmp.Or(first(strings.Fields(string(text))), "unknown")
}

// moduleVersion is the version of a module in this program.
func moduleVersion(path string) func() string {
	return func() string {
		info, _ := debug.ReadBuildInfo()
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
		return "unknown"
	}
}
