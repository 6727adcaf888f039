package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/clock"
)

const tellsAll = "gracegate explain with the same settings tells every mistake"

func checkPolicy(x *examination) finding {
	p, err := x.policy()
	if problems, is := errors.AsType[policy.Problems](err); is && len(problems) > 0 {
		first := problems[0]
		more := ""
		if len(problems) > 1 {
			more = fmt.Sprintf(" (and %d more)", len(problems)-1)
		}
		return fails(cmp.Or(first.Hint, tellsAll), "%s%s%s", position(first), first.Message, more)
	}
	if err != nil {
		return fails(cmp.Or(hintOf(err), tellsAll), "%s", err)
	}
	which := "the built-in one"
	if name := policyName(x.cfg); name != "" {
		which = name
	}
	return passes("%s, revision %s", which, p.Revision())
}

// checkBundle looks at the bundle in effect as a gateway would that starts.
func checkBundle(x *examination) finding {
	const anew = "sign a new one, with a higher version"
	b, err := readBundle(x.cfg)
	if err != nil {
		return fails(cmp.Or(hintOf(err), tellsAll), "%s", err)
	}
	now, err := realTime(x.cfg)
	if err != nil {
		return fails(cmp.Or(hintOf(err), "gracegate clock"), "%s", err)
	}
	until := b.Expires.Format("2006-01-02")
	switch {
	case b.Expired(now):
		return fails(anew, "version %d expired on %s; a gateway that has it enforces it on, and no other takes it up", b.Version, until)
	case b.Expired(now.Add(7 * 24 * time.Hour)):
		return warns(anew, "version %d expires on %s", b.Version, until)
	}
	return passes("version %d, until %s, signed by the key %s", b.Version, until, b.KeyID)
}

func position(p policy.Problem) string {
	if at := p.Pos.String(); at != "" {
		return at + ": "
	}
	return ""
}

// checkCA compares the CA with what the policy wants to see today.
func checkCA(x *examination) finding {
	p, err := x.policy()
	if err != nil {
		return skips("", "without a policy it is not known what must be intercepted")
	}
	needed := x.intercepts(p)
	dir := x.cfg.CADir()
	if dir == "" || !holdsCA(dir) {
		switch {
		case needed == "":
			return passes("there is none, and the policy needs to see no request inside TLS today")
		case dir == "":
			return warns("ca.dir: ca, and gracegate ca init", "the policy needs to see requests, such as to %s, and ca.dir turns interception off: unseen.request decides", needed)
		}
		return warns("gracegate ca init, as the user of the service", "the policy needs to see requests, such as to %s, and %s holds no CA: unseen.request decides", needed, dir)
	}
	if uid, known := ownerOfFile(filepath.Join(dir, "intermediate.key")); known && uid != x.uid && uid != 0 {
		return skips(fmt.Sprintf("run doctor as user %d", uid), "belongs to user %d, who alone may read it", uid)
	}
	ca, err := readCA(dir)
	if err != nil {
		return fails(cmp.Or(hintOf(err), "gracegate ca show"), "%s", err)
	}
	if ca.Problem != "" {
		return fails(ca.Hint, "%s: nothing is intercepted", ca.Problem)
	}
	if rest := without(p.Interceptable(), ca.permits); len(rest) > 0 {
		return warns("gracegate ca renew", "does not cover %s that the policy could block, such as %s", counted(len(rest), "name", "names"), rest[0])
	}
	if !x.now.Before(ca.RenewBy) {
		return warns("gracegate ca renew", "ends on %s", ca.Intermediate.NotAfter.UTC().Format("2006-01-02"))
	}
	return passes("is in force until %s", ca.Intermediate.NotAfter.UTC().Format("2006-01-02"))
}

// intercepts returns a name that the policy needs intercepted now, for some client; "" if there is none.
func (x *examination) intercepts(p *policy.Policy) string {
	at := x.now
	if !x.cfg.Clock.At.IsZero() {
		at = x.cfg.Clock.At
	}
	askers := p.Askers()
	for _, d := range p.Destinations() {
		if d.Path != "" || d.Host.IsAddr() {
			continue
		}
		for i := range askers {
			f := d.Facts(&askers[i])
			if decision := p.Decide(at, &f); decision.Need == policy.NeedRequest {
				return d.Host.String()
			}
		}
	}
	return ""
}

func ownerOfFile(name string) (uid int, known bool) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, false
	}
	return ownerOf(info)
}

func checkDataDirectory(x *examination) finding {
	if x.system == "windows" {
		return skips("", "is looked at where files have a mode, this is %s", x.system)
	}
	dir, err := filepath.Abs(x.cfg.Data.Dir)
	if err != nil {
		return fails("data.dir names a directory by its whole path", "%s: %s", x.cfg.Data.Dir, err)
	}
	info, err := fs.Stat(x.files, strings.TrimPrefix(filepath.ToSlash(dir), "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return passes("%s is not there yet; serve makes it", dir)
	}
	if err != nil {
		return fails("data.dir names a directory that the service may write", "%s: %s", dir, cause(err))
	}
	mode := info.Mode().Perm()
	switch {
	case !info.IsDir():
		return fails("data.dir names a directory", "%s is no directory", dir)
	case mode&0o022 != 0:
		return fails("chmod 700 "+dir, "%s has the mode %04o: others could change the records", dir, mode)
	}
	if f := x.wrongOwner(dir, info); f.Status != "" {
		return f
	}
	if mode&0o055 != 0 {
		return warns("chmod 700 "+dir, "%s has the mode %04o: others can read who asked for what", dir, mode)
	}
	return passes("%s", dir)
}

// wrongOwner compares the owner of the data with the user of the gateway, or else with who asks; its status is empty if they are one.
func (x *examination) wrongOwner(dir string, info fs.FileInfo) finding {
	owner, known := ownerOf(info)
	gateway := x.gateway()
	switch {
	case !known:
	case gateway != nil && gateway.uid != 0 && owner != gateway.uid:
		return fails(fmt.Sprintf("chown -R %d %s", gateway.uid, dir), "%s belongs to user %d, and the gateway runs as %d", dir, owner, gateway.uid)
	case gateway == nil && x.uid != 0 && owner != x.uid:
		return warns(fmt.Sprintf("run it as user %d, or chown -R %d %s", owner, x.uid, dir), "%s belongs to user %d, this is user %d", dir, owner, x.uid)
	}
	return finding{}
}

// checkClock asks as gracegate clock does.
func checkClock(x *examination) finding {
	const keep = "run an NTP client, such as chrony or systemd-timesyncd (timedatectl set-ntp true), or set clock.check"
	s, err := x.clock(x.cfg)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return skips("run doctor as the user of the service, or as root", "%s", err)
	case err != nil:
		return fails(cmp.Or(hintOf(err), "gracegate clock"), "%s", err)
	case s.Simulated:
		return passes("is simulated, by clock.at")
	case s.State == clock.Unsynchronised.String():
		return warns(keep, "%s", s.Detail)
	case !s.Trusted:
		return fails(`set it; or, if it is right: gracegate clock accept --reason "..."`, "is not believed (%s): %s", s.State, s.Detail)
	case s.Kernel == clock.NotSynchronised.String() && s.Source != nil && s.Source.Ahead != nil:
		return passes("is believed, by clock.check alone: %s", sourceText(s.Source))
	case s.Kernel == clock.NotSynchronised.String():
		return warns(keep, "is believed, but nothing keeps it in step")
	}
	return passes("is believed; the kernel says: %s", s.Kernel)
}

// checkOpenFiles compares the limit of the gateway, or of what this user would start, with what its connections take.
func checkOpenFiles(x *examination) finding {
	of, whose := "self", "a gateway that is started here"
	if gateway := x.gateway(); gateway != nil {
		of, whose = strconv.Itoa(gateway.pid), fmt.Sprintf("the gateway (process %d)", gateway.pid)
	}
	limit, err := x.fileLimit(of)
	if err != nil {
		return skips("run doctor as root", "the limit cannot be seen: %s", cause(err))
	}
	// The gateway raises the soft limit to the hard one when it starts.
	wanted, has := x.cfg.Limits.Connections, limit.soft
	if of == "self" {
		has = limit.hard
		if x.uid == 0 { // who may raise that, too
			has = math.MaxUint64
		}
	}
	if need := descriptorsFor(wanted); has < need {
		return warns(fmt.Sprintf("LimitNOFILE=%d in the unit, or ulimit -n %d; or lower limits.connections", need, need),
			"%s may have %d: enough for %d connections, not for the %d of limits.connections", whose, has, connectionsWithin(has), wanted)
	}
	return passes("%s may have %s", whose, limitText(has))
}

// unlimited is how a limit reads that is none.
const unlimited = "unlimited"

func limitText(n uint64) string {
	if n == math.MaxUint64 {
		return unlimited
	}
	return strconv.FormatUint(n, 10)
}

// fileLimit reads /proc/PID/limits.
func (m *machine) fileLimit(pid string) (fileLimit, error) {
	text, err := m.read("/proc/" + pid + "/limits")
	if err != nil {
		return fileLimit{}, err
	}
	for line := range strings.Lines(text) {
		values, is := strings.CutPrefix(line, "Max open files")
		if f := strings.Fields(values); is && len(f) > 1 {
			soft, err1 := parseLimit(f[0])
			hard, err2 := parseLimit(f[1])
			return fileLimit{soft, hard}, errors.Join(err1, err2)
		}
	}
	return fileLimit{}, errors.New("no line for open files")
}

func parseLimit(text string) (uint64, error) {
	if text == unlimited {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(text, 10, 64)
}
