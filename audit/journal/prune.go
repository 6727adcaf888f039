package journal

import (
	"encoding/json"
	"errors"
	"os"
	"time"

	"go.uber.org/zap"
)

// pruneOld removes what is older than is retained, and says so. A clock that cannot be believed might remove everything.
func (j *Journal) pruneOld() {
	now, believed := j.opts.Real()
	if j.opts.Retain <= 0 || !believed {
		return
	}
	n, err := j.Prune(now.Add(-j.opts.Retain))
	if err != nil {
		j.opts.Log.Error("old records were not removed", zap.Error(err))
	}
	if n > 0 {
		j.opts.Log.Info("old records were removed", zap.Uint64("records", n))
	}
}

// Prune removes the files all of whose records are from before an instant of real time, and tells how many records these were.
// First it signs that from now on the journal is kept from a later record on. So what is gone without that was taken out.
func (j *Journal) Prune(before time.Time) (removed uint64, err error) {
	list, err := segments(j.dir)
	if err != nil {
		return 0, err
	}
	j.mu.Lock()
	was, active := j.kept, j.segment.first
	j.mu.Unlock()
	kept := was
	for i := range list {
		s := list[i]
		if s.first >= active || i+1 == len(list) {
			break
		}
		if s.first >= was { // otherwise it was to be removed already
			line, err := s.lastLine()
			if err != nil {
				return 0, err
			}
			if at := recordedAt(line); at.IsZero() || !at.Before(before) {
				break
			}
		}
		kept = list[i+1].first
	}
	if kept > was {
		if err := j.sign(kept); err != nil {
			return 0, err
		}
	}
	for _, s := range list {
		if s.first >= kept {
			break
		}
		err = errors.Join(err, os.Remove(s.linesName()), os.Remove(s.leavesName()))
	}
	return kept - was, err
}

// recordedAt is when a record was written, as far as that is known: policy time, which is real time held against jumps of the machine's
// clock, unless it is simulated.
func recordedAt(line []byte) time.Time {
	var r struct {
		PolicyTime time.Time `json:"gracegate.policy_time"`
		Simulated  bool      `json:"gracegate.simulated_clock"`
	}
	if json.Unmarshal(line, &r) != nil || r.Simulated || r.PolicyTime.IsZero() {
		return timeOf(line)
	}
	return r.PolicyTime
}
