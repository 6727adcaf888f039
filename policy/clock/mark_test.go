package clock

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func goodMark(tb testing.TB) []byte {
	tb.Helper()
	m := &mark{Version: markVersion, Time: now, Vouched: true, Boot: "a boot", Elapsed: time.Hour}
	file, err := m.encode()
	if err != nil {
		tb.Fatal(err)
	}
	return file
}

func TestMark(t *testing.T) {
	t.Parallel()
	good := goodMark(t)
	m, err := decodeMark(good)
	if err != nil || !m.Time.Equal(now) || !m.Vouched || m.Boot != "a boot" || m.Elapsed != time.Hour {
		t.Errorf("%+v, %v", m, err)
	}
	sealed := func(line string) string { return string(sealMark([]byte(line))) }
	for _, tt := range []struct{ name, file, wrong string }{
		{"empty", "", "its checksum is wrong"},
		{"half", string(good[:len(good)/2]), "its checksum is wrong"},
		{"another year", strings.Replace(string(good), "2026", "2062", 1), "its checksum is wrong"},
		{"no last line feed", string(good[:len(good)-1]), "its checksum is wrong"},
		{"more", string(good) + "\n", "its checksum is wrong"},
		{"not JSON", sealed("mark"), "invalid character"},
		{"a version of tomorrow", sealed(`{"version":2,"mark":"2026-11-25T12:00:00Z"}`), "its version is 2, and this program knows 1"},
		{"negative", sealed(`{"version":1,"mark":"2026-11-25T12:00:00Z","elapsed":-1}`), "its elapsed time is negative"},
	} {
		if _, err := decodeMark([]byte(tt.file)); err == nil || !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.wrong)
		}
	}
	// Any bit that is another one is noticed.
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := decodeMark(bad); err == nil {
			t.Errorf("bit %d is another one: %s", i, bad)
		}
	}
}

// The time since the mark counts if it is known.
func TestSinceTheMark(t *testing.T) {
	t.Parallel()
	m := &mark{Time: now, Boot: "first", Elapsed: time.Hour}
	for _, tt := range []struct {
		name, boot string
		elapsed    time.Duration
		want       time.Time
	}{
		{"at once", "first", time.Hour, now},
		{"a day later", "first", 25 * time.Hour, now.Add(day)},
		{"another run of the machine, which is longer", "second", 25 * time.Hour, now},
		{"earlier in the same run: nonsense", "first", time.Minute, now},
		{"nobody knows which run this is", "", 25 * time.Hour, now},
		{"the end of time", "first", 1<<63 - 1, last},
	} {
		if got := m.at(tt.boot, tt.elapsed); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	m.Boot = ""
	if got := m.at("", 25*time.Hour); !got.Equal(now) {
		t.Errorf("an unknown run is no other's: %s", got)
	}
}

func TestUnreadableMark(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{File: t.TempDir(), Built: built}); err == nil {
		t.Error("a directory was read")
	}
	large := filepath.Join(t.TempDir(), "clock")
	if err := os.WriteFile(large, bytes.Repeat([]byte("a"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, damage, err := loadMark(large); damage == nil || err != nil {
		t.Error(damage, err)
	}
}

// Whatever the file holds, the clock begins, and not before the build.
func FuzzMark(f *testing.F) {
	f.Add(goodMark(f), false)
	for _, line := range []string{
		"", "{}", `{"version":1}`, `{"version":1,"mark":"9999-12-31T23:59:59Z","boot":"first","elapsed":1}`, `{"version":1,"mark":"-0001-01-01T00:00:00Z"}`,
		`{"version":1,"mark":"2026-11-25T12:00:00Z","boot":"first","elapsed":9223372036854775807}`,
	} {
		f.Add([]byte(line), true)
	}
	f.Fuzz(func(t *testing.T, file []byte, seal bool) {
		if seal {
			file = sealMark(file)
		}
		r := &rig{t: t, k: newKernel(NotSynchronised), file: filepath.Join(quickDir(t), "clock")}
		if err := os.WriteFile(r.file, file, 0o600); err != nil {
			t.Fatal(err)
		}
		r.start()
		before := r.g.Now()
		r.k.pass(time.Hour)
		if after := r.g.Now(); before.Before(built) || after.Before(before) {
			t.Errorf("%s, an hour later %s", before, after)
		}
	})
}
