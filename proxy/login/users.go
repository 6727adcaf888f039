// Package login tells whether a client is the user that it says it is, by a file in the format of Apache's htpasswd with bcrypt hashes.
// It keeps no password, reads no request, and does not know what a user may do.
package login

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxCost is the highest cost that a hash may have. At 14 a check takes about a second of processor time, at 15 twice that.
	maxCost = 14

	// maxName is the length, in bytes, that htpasswd bounds a name by, and RFC 1929 that of SOCKS.
	maxName = 255
)

// Users are the users of a file, with their hashes. They do not change.
type Users struct {
	hashes map[string]string
	cost   int // the highest
}

// Knows tells whether there is such a user.
func (u *Users) Knows(name string) bool {
	_, ok := u.hashes[name]
	return ok
}

// Len is how many they are.
func (u *Users) Len() int { return len(u.hashes) }

// Mistake is one mistake in a file of users. It never shows a hash, or what may be one.
type Mistake struct {
	Line    int // from 1; 0: the whole file
	Message string
	Hint    string // may be empty
}

// Parse reads the text of a file: a line `name:hash` for each user, the hash by bcrypt ($2y$, $2b$ or $2a$) with a cost of at most 14.
// Empty lines and those that begin with # are passed over. There are either users, at least one, or mistakes, all of them at once.
func Parse(text []byte) (*Users, []Mistake) {
	users := &Users{hashes: make(map[string]string)}
	var mistakes []Mistake
	first := make(map[string]int) // the line in which a name stood first
	number := 0
	for line := range bytes.Lines(text) {
		number++
		name, hash, wrong := parseLine(string(bytes.TrimSpace(line)))
		if wrong == nil && name == "" {
			continue
		}
		if at := first[name]; wrong == nil && at > 0 {
			wrong = &Mistake{Message: fmt.Sprintf("the user %s stands in line %d, too", quote(name), at), Hint: "keep one of them"}
		}
		if wrong != nil {
			wrong.Line = number
			mistakes = append(mistakes, *wrong)
			continue
		}
		first[name] = number
		users.hashes[name] = hash
		users.cost = max(users.cost, costOf(hash))
	}
	if len(mistakes) == 0 && len(users.hashes) == 0 {
		mistakes = []Mistake{{Message: "there are no users in it", Hint: "htpasswd -B -C 10 FILE NAME adds one; without clients.auth nobody is asked"}}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return users, nil
}

// parseLine reads a line. Both parts are empty if it is a comment, or nothing.
func parseLine(line string) (name, hash string, wrong *Mistake) {
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	name, hash, found := strings.Cut(line, ":")
	switch {
	case !found:
		return "", "", &Mistake{Message: "the line has no colon between a name and a hash"}
	case name == "":
		return "", "", &Mistake{Message: "the name of the user is missing"}
	case !utf8.ValidString(name):
		return "", "", &Mistake{Message: "the name of the user is not UTF-8"}
	case len(name) > maxName:
		return "", "", &Mistake{Message: fmt.Sprintf("the name of the user is longer than %d bytes", maxName)}
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", "", &Mistake{Message: "the name of the user has a control character: " + quote(name)}
	case strings.TrimSpace(name) != name:
		return "", "", &Mistake{Message: "a blank stands at the end of the user's name: " + quote(name)}
	}
	if wrong := checkHash(name, hash); wrong != nil {
		return "", "", wrong
	}
	return name, hash, nil
}

// bcryptHash is what htpasswd -B writes ($2y$), and other programs ($2b$, $2a$): all of them mean the same to who reads them today.
var bcryptHash = regexp.MustCompile(`^\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$`)

// otherHashes are how hashes of other kinds begin.
var otherHashes = []struct{ prefix, kind string }{
	{"$apr1$", "by MD5 (apr1)"},
	{"$1$", "by MD5"},
	{"{SHA}", "by SHA-1"},
	{"{SSHA}", "by SHA-1"},
	{"$5$", "by SHA-256"},
	{"$6$", "by SHA-512"},
	{"$y$", "by yescrypt"},
	{"$argon2", "by Argon2"},
	{"$2x$", "by a flawed bcrypt (2x)"},
	{"$2", "no whole one by bcrypt"},
}

func checkHash(name, hash string) *Mistake {
	hint := "htpasswd -B -C 10 FILE NAME makes one by bcrypt"
	if bcryptHash.MatchString(hash) {
		if cost := costOf(hash); cost > maxCost {
			return &Mistake{
				Message: fmt.Sprintf("the hash of the user %s has cost %d, of which each check takes seconds; at most %d is taken", quote(name), cost, maxCost), Hint: hint,
			}
		}
		return nil
	}
	for _, other := range otherHashes {
		if strings.HasPrefix(hash, other.prefix) {
			return &Mistake{Message: fmt.Sprintf("the hash of the user %s is %s", quote(name), other.kind), Hint: hint}
		}
	}
	return &Mistake{Message: fmt.Sprintf("what stands behind the user %s is no hash by bcrypt", quote(name)), Hint: hint}
}

// costOf is the cost of a hash that bcryptHash matches: it takes 2^cost rounds.
func costOf(hash string) int {
	cost, _ := strconv.Atoi(hash[4:6]) // digits
	return cost
}

// quote shows a name on one line of ASCII, at most the first 100 bytes of it.
func quote(name string) string {
	const shown = 100
	if len(name) > shown {
		return strconv.QuoteToASCII(strings.ToValidUTF8(name[:shown], "")) + "..."
	}
	return strconv.QuoteToASCII(name)
}
