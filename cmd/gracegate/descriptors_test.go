package main

import (
	"errors"
	"math"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestDescriptors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		connections int
		descriptors uint64
	}{
		{0, 128}, {1, 131}, {16, 161}, {62, 256}, {100, 335}, {20000, 41378}, {1000000, 2062628},
	}
	for _, tt := range tests {
		if got := descriptorsFor(tt.connections); got != tt.descriptors {
			t.Errorf("%d connections need %d descriptors, want %d", tt.connections, got, tt.descriptors)
		}
		if got := connectionsWithin(tt.descriptors); got != max(tt.connections, 1) {
			t.Errorf("%d descriptors are enough for %d connections, want %d", tt.descriptors, got, tt.connections)
		}
	}
	for descriptors, want := range map[uint64]int{0: 1, 3: 1, 127: 1, 130: 1, 1024: 434, 1 << 20: 508338} {
		if got := connectionsWithin(descriptors); got != want {
			t.Errorf("%d descriptors are enough for %d connections, want %d", descriptors, got, want)
		}
	}
	if got := connectionsWithin(math.MaxUint64); got < 1e9 {
		t.Errorf("without a limit %d connections fit", got)
	}
}

// system is one whose processes may raise their limit up to most: above hard only those with privileges.
type system struct {
	fileLimit
	most uint64
	sets int
}

func (s *system) files() openFiles {
	return openFiles{
		get: func() (fileLimit, error) { return s.fileLimit, nil },
		set: func(l fileLimit) error {
			if l.soft > l.hard || l.soft > s.most || l.hard > max(s.most, s.hard) {
				return errors.New("operation not permitted")
			}
			s.fileLimit = l
			s.sets++
			return nil
		},
	}
}

func TestFitConnections(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		wanted     int
		before     fileLimit
		most       uint64 // that may be set
		after      fileLimit
		fit        int
		sets, says int
	}{
		{"as it is", 100, fileLimit{4096, 4096}, 4096, fileLimit{4096, 4096}, 100, 0, 0},
		{"soft to hard", 100, fileLimit{256, 4096}, 4096, fileLimit{4096, 4096}, 100, 1, 0},
		{"soft to hard, and that is not enough", 20000, fileLimit{256, 1024}, 1024, fileLimit{1024, 1024}, 434, 1, 1},
		{"hard too, by who may", 20000, fileLimit{1024, 4096}, 1 << 20, fileLimit{41378, 41378}, 20000, 1, 0},
		{"hard too, but not as far as this", 1000000, fileLimit{1024, 4096}, 1 << 20, fileLimit{4096, 4096}, 1923, 1, 1},
		{"nothing may be set", 100, fileLimit{256, 256}, 0, fileLimit{256, 256}, 62, 0, 1},
		{"hard stands for none, and is refused", 100, fileLimit{256, math.MaxUint64}, 10240, fileLimit{335, math.MaxUint64}, 100, 1, 0},
		{"hardly any", 1, fileLimit{20, 20}, 20, fileLimit{20, 20}, 1, 0, 0},
		{"nothing is wanted", 0, fileLimit{256, 1024}, 1024, fileLimit{1024, 1024}, 434, 1, 0},
	}
	for _, tt := range tests {
		s := &system{fileLimit: tt.before, most: tt.most}
		core, logged := observer.New(zap.InfoLevel)
		if got := s.files().fitConnections(tt.wanted, zap.New(core)); got != tt.fit {
			t.Errorf("%s: %d connections fit, want %d", tt.name, got, tt.fit)
		}
		if s.fileLimit != tt.after || s.sets != tt.sets || logged.Len() != tt.says {
			t.Errorf("%s: %+v after %d changes, and %d lines are logged; want %+v, %d, %d", tt.name, s.fileLimit, s.sets, logged.Len(), tt.after, tt.sets, tt.says)
		}
	}
}

// A limit that cannot be read is no reason to serve fewer, but one to say so.
func TestFitConnectionsUnknown(t *testing.T) {
	t.Parallel()
	broken := openFiles{get: func() (fileLimit, error) { return fileLimit{}, errors.New("not implemented") }}
	core, logged := observer.New(zap.InfoLevel)
	if got := broken.fitConnections(500, zap.New(core)); got != 500 || logged.Len() != 1 {
		t.Errorf("%d connections, %d lines", got, logged.Len())
	}
}
