package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// standardFiles are where the settings file is looked for when none is named; the first that exists is read.
var standardFiles = []string{"gracegate.yaml", "/etc/gracegate/gracegate.yaml"}

// Load reads the settings in effect from the flags that [AddFlags] registered in flags, which are parsed already, from
// the process's environment, and from the settings file. Settings of groups without flags there are read as well, from
// the other sources; but only with the flags of [GroupAdmin] is the token file opened and checked.
//
// The error is an [Errors] with every mistake found: a file that is named but cannot be read, an unknown key or
// variable, a value that is malformed or out of bounds, values that do not go together.
func Load(flags *pflag.FlagSet) (*Config, error) {
	inFile, problems := findFile(flags)
	problems = append(problems, unknownVariables(os.Environ())...)
	failed := failedKeys(problems)

	v := viper.New()
	if err := v.MergeConfigMap(nested(inFile.values)); err != nil {
		problems = append(problems, Problem{Where: inFile.name, Message: err.Error()})
	}
	c := &Config{origins: make(map[string]string)}
	for _, s := range settings {
		v.SetDefault(s.key, s.def)
		_ = v.BindEnv(s.key, s.variable()) // fails only without a key
		flag := flags.Lookup(s.flag())
		if flag != nil {
			_ = v.BindPFlag(s.key, flag) // fails only without a flag
		}
		bad := s.takeWinner(c, v.Get(s.key), flag, inFile.name)
		failed[s.key] = failed[s.key] || len(bad) > 0
		problems = append(problems, bad...)
	}
	problems = append(problems, c.check(failed, flags)...)
	if len(problems) > 0 {
		return nil, problems
	}
	return c, nil
}

// Default returns the settings that hold where nothing is set.
func Default() *Config {
	c := &Config{}
	for _, s := range settings {
		n, _ := s.fromText(s.def)
		_ = s.take(c, n, source{}) // a test shows that no default fails
	}
	return c
}

// takeWinner stores the value that viper found to win. It comes as a node from the file, as text from elsewhere.
func (s *setting) takeWinner(c *Config, won any, flag *pflag.Flag, file string) Errors {
	if n, ok := won.(*yaml.Node); ok {
		in := source{name: file, isFile: true}
		c.origins[s.key] = in.at(n)
		return s.take(c, n, in)
	}
	var in source
	switch {
	case flag != nil && flag.Changed:
		in.name = "flag --" + flag.Name
	case os.Getenv(s.variable()) != "":
		in.name = "environment " + s.variable()
	}
	if in.name != "" {
		c.origins[s.key] = in.name
	}
	text := won.(string)
	n, bad := s.fromText(text)
	if bad != nil {
		p := bad.of(in.name, text)
		p.Key = s.key
		return Errors{p}
	}
	return s.take(c, n, in)
}

// loaded is a settings file that was read; without one, both are empty.
type loaded struct {
	name   string
	values map[string]*yaml.Node
}

// findFile reads the file that is named, or the first of the standard ones that exists.
func findFile(flags *pflag.FlagSet) (loaded, Errors) {
	if name := namedFile(flags); name != "" {
		values, problems := readFile(name)
		return loaded{name, values}, problems
	}
	for _, name := range standardFiles {
		_, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && !filepath.IsAbs(name) {
			continue // who may not look into the working directory, as after sudo -u, has no settings there
		}
		values, problems := readFile(name)
		return loaded{name, values}, problems
	}
	return loaded{}, nil
}

// nested makes of keys with a dot the maps in maps that viper merges.
func nested(values map[string]*yaml.Node) map[string]any {
	sections := make(map[string]any)
	for key, n := range values {
		section, name, _ := strings.Cut(key, ".")
		in, ok := sections[section].(map[string]any)
		if !ok {
			in = make(map[string]any)
			sections[section] = in
		}
		in[name] = n
	}
	return sections
}

// failedKeys returns the keys that have a problem already, so that no check builds on what stands there instead.
func failedKeys(problems Errors) map[string]bool {
	failed := make(map[string]bool)
	for _, p := range problems {
		key, _, _ := strings.Cut(p.Key, "[")
		failed[key] = true
	}
	return failed
}
