package proxy

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gracegate/gracegate/policy/host"
)

// foldedKeys bounds how many kinds of lines are told apart at a time.
const foldedKeys = 4096

// topic is what a line of the log is about.
type topic struct {
	level   zapcore.Level
	message string
	id      string // the name of the field for what tells apart the lines of one client
}

// foldKey tells which lines are like each other. A client or an ID that makes no difference is left out.
type foldKey struct {
	*topic
	client netip.Addr
	id     string
}

// occasion is of whom and of what destination a line tells, if of any. The latest is named where one line stands for many.
type occasion struct {
	client netip.Addr
	to     hostPort
}

func (o *occasion) fields() []zap.Field {
	fields := make([]zap.Field, 0, 8)
	if o.client.IsValid() {
		fields = append(fields, zap.String("client", o.client.String()))
	}
	if !o.to.name.IsZero() {
		fields = append(fields, zap.String("host", host.Join(o.to.name, o.to.port)))
	}
	return fields
}

// folder writes the first of like lines at once. Of those that follow it writes one in each period, as soon as that is over,
// with the number of lines that it stands for as `folded`; a period without any ends that, and the next line is a first
// again. So each line is counted once, and what is not written yet is written a period later, or by close.
//
// Where too many differ at a time, the clients and IDs of those that come on top are not told apart, so that the log and
// the memory are bounded whatever strangers do. It is safe for concurrent use.
type folder struct {
	log    *zap.Logger
	period time.Duration

	ending sync.Mutex // held while lines for many are written, so that close waits for those on their way; before mu
	mu     sync.Mutex
	closed bool
	kept   *simplelru.LRU[foldKey, *folded] // in the order in which their last lines were written
	timer  *time.Timer                      // for the end of the oldest period; nil while none is kept
}

// folded is what was left out since the last line.
type folded struct {
	written time.Time
	count   int
	latest  occasion
}

func newFolder(log *zap.Logger, period time.Duration) *folder {
	// One more for each topic, of which there are few: nothing is ever pushed out.
	kept, err := simplelru.NewLRU[foldKey, *folded](2*foldedKeys, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &folder{log: log, period: period, kept: kept}
}

// say writes a line, or counts it. What it holds beside client, host and ID is asked for only if it is written.
func (f *folder) say(key foldKey, o occasion, more func() []zap.Field) {
	if !f.log.Core().Enabled(key.level) || f.leaveOut(key, o) {
		return
	}
	f.log.Log(key.level, key.message, append(key.fields(o), more()...)...)
}

func (k *foldKey) fields(o occasion) []zap.Field {
	fields := o.fields()
	if k.id != "" {
		fields = append(fields, zap.String(k.topic.id, k.id))
	}
	return fields
}

// leaveOut counts the line, unless it is the first of its kind.
func (f *folder) leaveOut(key foldKey, o occasion) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	entry, ok := f.kept.Peek(key)
	if !ok && f.kept.Len() >= foldedKeys {
		key = foldKey{topic: key.topic}
		entry, ok = f.kept.Peek(key)
	}
	if ok {
		entry.count++
		entry.latest = o
		return true
	}
	f.kept.Add(key, &folded{written: time.Now()})
	if f.timer == nil {
		f.timer = time.AfterFunc(f.period, f.periodsEnd)
	}
	return false
}

// periodsEnd writes what was left out in those periods that are over.
func (f *folder) periodsEnd() {
	f.ending.Lock()
	defer f.ending.Unlock()
	for _, write := range f.due() {
		write()
	}
}

// due takes what was left out in periods that are over, and sets the timer for the next that will be.
func (f *folder) due() (lines []func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for {
		key, entry, ok := f.kept.GetOldest()
		if !ok {
			f.timer = nil
			return lines
		}
		if left := entry.written.Add(f.period).Sub(now); left > 0 {
			f.timer.Reset(left)
			return lines
		}
		f.kept.Remove(key)
		if entry.count > 0 {
			lines = append(lines, f.line(key, entry))
			f.kept.Add(key, &folded{written: now})
		}
	}
}

// line is for a time when the lock is not held: the log may make whoever writes wait.
func (f *folder) line(key foldKey, entry *folded) func() {
	return func() {
		f.log.Log(key.level, key.message, append(key.fields(entry.latest), zap.Int("folded", entry.count))...)
	}
}

// close writes what was left out until now. Lines that come later are written one by one.
func (f *folder) close() {
	f.ending.Lock()
	defer f.ending.Unlock()
	for _, write := range f.rest() {
		write()
	}
}

// rest takes all that was left out, and ends the folding.
func (f *folder) rest() (lines []func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	for _, key := range f.kept.Keys() {
		if entry, ok := f.kept.Peek(key); ok && entry.count > 0 {
			lines = append(lines, f.line(key, entry))
		}
	}
	f.kept.Purge()
	return lines
}
