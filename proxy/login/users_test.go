package login

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// hashOf is a hash of the least cost.
func hashOf(tb testing.TB, password string) string {
	tb.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		tb.Fatal(err)
	}
	return string(hash)
}

// costly is a hash of any cost that nobody will want to check.
func costly(cost int) string { return fmt.Sprintf("$2y$%02d$%s", cost, strings.Repeat("a", 53)) }

func TestParse(t *testing.T) {
	t.Parallel()
	text := strings.Join([]string{
		"# people", "", "ann:" + costly(5), "bob:" + strings.Replace(costly(10), "$2y$", "$2a$", 1) + "\r", "  \t",
		" carol:" + strings.Replace(costly(14), "$2y$", "$2b$", 1), "Jürgen:" + costly(4), "with blank:" + costly(4),
	}, "\n")
	users, mistakes := Parse([]byte(text))
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	for _, name := range []string{"ann", "bob", "carol", "Jürgen", "with blank"} {
		if !users.Knows(name) {
			t.Errorf("%s is not known", name)
		}
	}
	for _, name := range []string{"", "Ann", "# people", "dave"} {
		if users.Knows(name) {
			t.Errorf("%q is known", name)
		}
	}
	if users.cost != 14 {
		t.Errorf("cost %d", users.cost)
	}
}

// Each line is wrong in its own way, and all are told at once.
func TestParseTellsAllMistakes(t *testing.T) {
	t.Parallel()
	lines := []struct{ line, message string }{
		{"ann:" + costly(10), ""},
		{"ann:" + costly(11), `the user "ann" stands in line 1, too`},
		{":" + costly(10), "the name of the user is missing"},
		{"only-a-name", "the line has no colon between a name and a hash"},
		{"b:" + costly(15), `the hash of the user "b" has cost 15, of which each check takes seconds; at most 14 is taken`},
		{"c:" + costly(31), `the hash of the user "c" has cost 31, of which each check takes seconds; at most 14 is taken`},
		{"d:" + costly(32), `the hash of the user "d" is no whole one by bcrypt`},
		{"e:" + costly(3), `the hash of the user "e" is no whole one by bcrypt`},
		{"f:" + costly(10) + "x", `the hash of the user "f" is no whole one by bcrypt`},
		{"g:" + costly(10)[:59], `the hash of the user "g" is no whole one by bcrypt`},
		{"h:$apr1$salt$secret", `the hash of the user "h" is by MD5 (apr1)`},
		{"i:{SHA}secret=", `the hash of the user "i" is by SHA-1`},
		{"j:$6$salt$secret", `the hash of the user "j" is by SHA-512`},
		{"k:$2x$10$" + strings.Repeat("s", 53), `the hash of the user "k" is by a flawed bcrypt (2x)`},
		{"l:secret", `what stands behind the user "l" is no hash by bcrypt`},
		{"m:", `what stands behind the user "m" is no hash by bcrypt`},
		{"n\x01\x1b[2J:" + costly(10), `the name of the user has a control character: "n\x01\x1b[2J"`},
		{"o\xff:" + costly(10), "the name of the user is not UTF-8"},
		{"p :" + costly(10), `a blank stands at the end of the user's name: "p "`},
		{strings.Repeat("q", 256) + ":" + costly(10), "the name of the user is longer than 255 bytes"},
		{"r:" + costly(10) + ":comment", `the hash of the user "r" is no whole one by bcrypt`},
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.line + "\n")
	}
	users, mistakes := Parse([]byte(text.String()))
	if users != nil {
		t.Error("there are users")
	}
	told := make(map[int]string)
	for _, m := range mistakes {
		told[m.Line] = m.Message
		if strings.Contains(m.Message+m.Hint, "secret") {
			t.Errorf("a secret is told: %v", m)
		}
	}
	for i, l := range lines {
		if got := told[i+1]; got != l.message {
			t.Errorf("line %d: %q, want %q", i+1, got, l.message)
		}
	}
}

func TestAFileWithoutUsers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "# nobody\n"} {
		if users, mistakes := Parse([]byte(text)); users != nil || len(mistakes) != 1 || mistakes[0].Line != 0 {
			t.Errorf("%q: %v", text, mistakes)
		}
	}
}

// What htpasswd itself writes is read.
func TestHtpasswd(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("htpasswd")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("htpasswd is not installed")
		}
		t.Skip("htpasswd is not installed")
	}
	name := filepath.Join(t.TempDir(), "users")
	for i, user := range []string{"ann", "bob"} {
		args := []string{"-b", "-B", "-C", "4", name, user, "pass of " + user}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	users, mistakes := Parse(text)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	c := NewChecker(users)
	for _, user := range []string{"ann", "bob"} {
		if ok, _ := c.Check(t.Context(), client, user, "pass of "+user); !ok {
			t.Errorf("%s is refused", user)
		}
	}
	if ok, _ := c.Check(t.Context(), client, "ann", "pass of bob"); ok {
		t.Error("ann is let in with the password of bob")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ann:" + costly(10) + "\n# c\nbob:" + costly(4))
	f.Add(":\n$2y$")
	f.Add("a:$2y$99$" + strings.Repeat("a", 53))
	f.Fuzz(func(t *testing.T, text string) {
		users, mistakes := Parse([]byte(text))
		if (users == nil) == (len(mistakes) == 0) {
			t.Fatalf("%v and %v", users, mistakes)
		}
		if users == nil {
			return
		}
		for name, hash := range users.hashes {
			if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost != costOf(hash) || cost > maxCost || cost > users.cost {
				t.Fatalf("%q: cost %d, %v", name, cost, err)
			}
			if strings.ContainsAny(name, ":\n\x00") || name == "" {
				t.Fatalf("the name %q", name)
			}
		}
	})
}
