package console

import "time"

// Clock is what /readyz tells of the policy clock.
type Clock struct {
	Simulated   bool      `json:"simulated"` // it is not real time; it has no mark, and is trusted
	Description string    `json:"description"`
	PolicyTime  time.Time `json:"policy_time"`
	WallTime    time.Time `json:"wall_time"` // what the machine's clock shows
	Trusted     bool      `json:"trusted"`
	State       string    `json:"state"`
	Detail      string    `json:"detail,omitempty"` // why it is not trusted

	Mark      *time.Time  `json:"mark,omitempty"`       // that is kept over a restart; nil: there is none, or it was not written yet
	MarkError string      `json:"mark_error,omitempty"` // why it is not kept
	Kernel    string      `json:"kernel,omitempty"`     // whether the machine's clock is synchronised, as the kernel says
	Source    *TimeSource `json:"second_source,omitempty"`
}

// TimeSource is what the second source of the time last said.
type TimeSource struct {
	Source string   `json:"source"`
	Ahead  *float64 `json:"machine_ahead_seconds"` // by how much the machine's clock is ahead of it; null: it has not answered
	Error  string   `json:"error,omitempty"`       // why it did not answer the last time
}

// inUTC makes instants those of one zone.
func (c *Clock) inUTC() {
	c.PolicyTime, c.WallTime = c.PolicyTime.UTC(), c.WallTime.UTC()
	if c.Mark != nil {
		mark := c.Mark.UTC()
		c.Mark = &mark
	}
}
