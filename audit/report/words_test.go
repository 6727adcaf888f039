package report

import "testing"

func TestIntegrityLine(t *testing.T) {
	t.Parallel()
	for want, i := range map[string]*Integrity{
		"not verified: this report does not tell whether the record is complete":                 nil,
		"not verified for this report, no checkpoint":                                            {},
		"not verified for this report, last checkpoint abc of 2024-10-15 00:00:00 UTC":           {Checkpoint: "abc", CheckpointAt: monthUntil},
		"verified; 1 record, 2 known to be lost, last checkpoint abc of 2024-10-15 00:00:00 UTC": {Checked: true, Verified: true, Records: 1, Lost: 2, Checkpoint: "abc", CheckpointAt: monthUntil},
		"NOT intact: record 7 was altered":                                                       {Checked: true, Problem: "record 7 was altered", Records: 6},
		"NOT intact":                                                                             {Checked: true},
	} {
		if got := i.Line(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
