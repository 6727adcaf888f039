package config

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

const (
	envPrefix    = "GRACEGATE_"
	fileFlag     = "config"
	fileVariable = envPrefix + "CONFIG"
)

// AddFlags registers --config and the flags of the groups in flags, for [Load] to read. The flags take any text; what is
// wrong with it, Load says, together with all other mistakes.
func AddFlags(flags *pflag.FlagSet, groups ...Group) {
	flags.String(fileFlag, "", "the settings `file` (default ./gracegate.yaml, then /etc/gracegate/gracegate.yaml)")
	for _, s := range settings {
		if !slices.Contains(groups, s.group()) {
			continue
		}
		usage := s.doc
		if b := s.limits(); b != "" {
			usage += "; " + b
		}
		flag := flags.VarPF(&flagText{key: s.key, word: s.word(), text: s.def, isList: s.isList()}, s.flag(), "", usage)
		if s.isBool() {
			flag.NoOptDefVal = "true"
		}
	}
}

// flagText is a flag's text as it was given, not looked into.
type flagText struct {
	key, word, text string
	isList          bool
	given           bool
}

// Key returns the key of the setting that a flag from [AddFlags] is for. It is false for any other flag.
func Key(flag *pflag.Flag) (key string, ok bool) {
	if f, ok := flag.Value.(*flagText); ok {
		return f.key, true
	}
	return "", false
}

func (f *flagText) String() string { return f.text }

// Type is shown in the help. It must be no type that viper knows: of those, it makes zero out of what it cannot read.
func (f *flagText) Type() string { return f.word }

// Set takes the text. Of a flag that is given more than once, the items of all add up if it is a list, else the last wins.
func (f *flagText) Set(text string) error {
	if f.isList && f.given && f.text != "" {
		text = f.text + "," + text
	}
	f.text, f.given = text, true
	return nil
}

// namedFile returns the settings file that a flag or the environment names, or "".
func namedFile(flags *pflag.FlagSet) string {
	if f := flags.Lookup(fileFlag); f != nil && f.Changed {
		return f.Value.String()
	}
	return os.Getenv(fileVariable)
}

// serviceLink matches the variables that Kubernetes and Docker links set in every container beside a service which is
// named gracegate. They are nobody's settings.
var serviceLink = regexp.MustCompile(`^GRACEGATE_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP)(_(ADDR|PORT|PROTO))?)?)$`)

// unknownVariables returns a problem for each variable with our prefix that is set and no setting. Its value, which may
// be a secret that is named wrongly, is not shown.
func unknownVariables(environ []string) Errors {
	known := []string{fileVariable}
	for _, s := range settings {
		known = append(known, s.variable())
	}
	var problems Errors
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || text == "" || slices.Contains(known, name) || serviceLink.MatchString(name) {
			continue
		}
		hint := didYouMean(name, known)
		if hint == "" {
			hint = "gracegate config prints all settings"
		}
		problems = append(problems, Problem{Where: "environment " + name, Message: "unknown setting", Hint: hint})
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Where, b.Where) })
	return problems
}
