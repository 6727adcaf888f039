package main

import "go.uber.org/zap"

const (
	// reserved are the descriptors that are there with no connection at all: listeners, the admin listener's clients,
	// watched files, standard streams, the runtime's own.
	reserved = 128

	// per sixteen connections: the client's socket and the origin's of each, and one that comes and goes with them, for a
	// look-up, a pipe, or an idle connection to an origin.
	perSixteen = 2*16 + 1
)

// descriptorsFor is how many descriptors so many connections need.
func descriptorsFor(connections int) uint64 {
	return reserved + (uint64(max(connections, 0))*perSixteen+15)/16
}

// connectionsWithin is how many connections so many descriptors are enough for; one at least.
func connectionsWithin(descriptors uint64) int {
	const unlimited = 1 << 32 // more than any process has
	free := min(descriptors, unlimited)
	free -= min(free, reserved)
	return max(int(free*16/perSixteen), 1)
}

// fileLimit is RLIMIT_NOFILE: what holds, and up to where a process may raise it by itself.
type fileLimit struct{ soft, hard uint64 }

// openFiles reads and sets the limit of the process.
type openFiles struct {
	get func() (fileLimit, error)
	set func(fileLimit) error
}

// raise lifts the limit to the most that the process may have, and the hard one too, where it may, if need is above that. It
// returns what holds then.
func (o openFiles) raise(need uint64) (uint64, error) {
	now, err := o.get()
	if err != nil {
		return 0, err
	}
	most := max(now.hard, need)
	tries := []fileLimit{{most, most}, {now.hard, now.hard}}
	if need < now.hard {
		tries = append(tries, fileLimit{need, now.hard}) // some systems take no soft limit that stands for none
	}
	for _, l := range tries {
		if now.soft >= l.soft || o.set(l) == nil {
			break
		}
	}
	now, err = o.get()
	return now.soft, err
}

// fitConnections raises the limit of open files for the wanted number of connections, and returns how many of them fit. Where
// nobody wants a limit (0) it is as many as fit. One that cannot be read does not count.
func (o openFiles) fitConnections(wanted int, log *zap.Logger) int {
	limit, err := o.raise(descriptorsFor(wanted))
	if err != nil {
		log.Warn("the limit of open files is not known", zap.Error(err), zap.String("hint", "watch process_open_fds"))
		return wanted
	}
	fit := connectionsWithin(limit)
	switch {
	case wanted == 0:
		return fit
	case wanted <= fit:
		return wanted
	}
	log.Warn("fewer connections than limits.connections fit the limit of open files",
		zap.Int("limits.connections", wanted), zap.Int("connections", fit), zap.Uint64("open_files", limit), zap.Uint64("needed", descriptorsFor(wanted)),
		zap.String("hint", "raise LimitNOFILE= of the unit, or ulimit -n, to what is needed; or lower limits.connections"))
	return fit
}
