package config

import (
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// serviceData is where data is kept by who has no home directory.
const serviceData = "/var/lib/gracegate"

// stateVariable is set by systemd to the directories of StateDirectory=, which a colon separates (systemd.exec(5)).
const stateVariable = "STATE_DIRECTORY"

// directory is a path that may begin with ~, and that is where the service manager says unless it is set.
type directory struct{ path }

func (d directory) read(c *Config, n *yaml.Node, in source) Errors {
	name, problems := d.readNode(n, in)
	if len(problems) > 0 {
		return problems
	}
	managed, _, _ := strings.Cut(os.Getenv(stateVariable), ":")
	home, rest, err := atHome(name)
	switch {
	case name == "":
		return Errors{{Where: in.at(n), Message: "no directory", Hint: "name one such as " + serviceData}}
	case in == source{} && filepath.IsAbs(managed):
		*d.field(c) = managed
	case in == source{} && (err != nil || home == "/"): // "/" is what systemd and containers give a user without one
		*d.field(c) = serviceData
	case err == nil && home != "":
		*d.field(c) = filepath.Join(home, rest)
	case err == nil:
		return d.path.read(c, n, in)
	default:
		return Errors{{Where: in.at(n), Value: name, Message: quote(name) + " is in no home directory: this user has none", Hint: "write the whole path"}}
	}
	return nil
}

// atHome returns, for ~ and what is below it, the user's home directory and the rest, and for other paths nothing.
func atHome(name string) (home, rest string, err error) {
	first, rest, _ := strings.Cut(name, "/")
	if first != "~" {
		return "", "", nil
	}
	home, err = os.UserHomeDir()
	return home, rest, err
}

// CADir returns the directory of the certificate authority, and "" where ca.dir turns interception off.
func (c *Config) CADir() string {
	if c.CA.Dir == "" || filepath.IsAbs(c.CA.Dir) {
		return c.CA.Dir
	}
	return filepath.Join(c.Data.Dir, c.CA.Dir)
}
