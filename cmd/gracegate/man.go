package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gracegate/gracegate/config"
)

// newMan is for those who make packages: what it writes is installed with the program.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the pages of the manual", Hidden: true,
		Long: "Write a page for each command, and that of gracegate.yaml, into a directory. They have the date of the variable\n" +
			"SOURCE_DATE_EPOCH, in seconds since 1970, and none without it.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return invalid(fmt.Errorf("man takes one directory, not %d", len(args)), "gracegate man DIR")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			date, err := sourceDate()
			if err != nil {
				return err
			}
			for _, p := range manual(cmd.Root()) {
				p.date = date
				name := filepath.Join(args[0], fmt.Sprintf("%s.%d", p.title, p.section))
				if err := os.WriteFile(name, p.roff(), 0o644); err != nil { //nolint:gosec // G306: a manual is for everybody to read
					return failed(err, "the directory must be there")
				}
			}
			return nil
		},
	}
}

// sourceDate is the date that whoever makes packages wants in them, or "" (https://reproducible-builds.org/specs/source-date-epoch/).
func sourceDate() (string, error) {
	const variable = "SOURCE_DATE_EPOCH"
	text := os.Getenv(variable)
	if text == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return "", invalid(fmt.Errorf("%s %q is no number", variable, text), "seconds since 1970, such as git log -1 --format=%ct prints")
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}

// manual returns all pages.
func manual(root *cobra.Command) []*manPage {
	root.InitDefaultVersionFlag()
	root.InitDefaultCompletionCmd()
	return append(commandPages(root), settingsPage())
}

// exitStatus is the table of README for the manual.
var exitStatus = []manEntry{
	{manHead{{fmt.Sprint(exitDone), bold}}, "Done."},
	{manHead{{fmt.Sprint(exitFailed), bold}}, "Failed at run time."},
	{manHead{{fmt.Sprint(exitInvalid), bold}}, "Usage, configuration or input is invalid."},
	{manHead{{fmt.Sprint(exitMatched), bold}}, "--fail-on matched, or a check of a policy found what it looks for."},
	{manHead{{fmt.Sprint(exitRefused), bold}}, "A signature, a proof or its freshness is refused; of serve: records are gone that were signed."},
	{manHead{{fmt.Sprint(exitNotReady), bold}}, "Of ready: the gateway is not ready."},
}

const (
	settingsIntro = "Each of these is a setting, which can also be a line of gracegate.yaml(5) or a variable of the environment: " +
		"--listen-proxy is proxy under listen in the file and GRACEGATE_LISTEN_PROXY in the environment. Options win over the " +
		"environment, the environment over the file."
	fileIntro = "The settings of gracegate, as YAML. A key has its section and its name: listen.proxy is\n\n" +
		"  listen:\n    proxy: [\"127.0.0.1:3128\"]\n\n" +
		"Each is also an option of the commands that need it (--listen-proxy) and a variable of the environment " +
		"(GRACEGATE_LISTEN_PROXY). Options win over the environment, the environment over the file, the file over the default. " +
		"gracegate-config(1) prints all settings in effect, with comments and where each was set. A key that is not known is an error, " +
		"and all mistakes are told at once. The file is read once, at the start.\n\n" +
		"Durations carry a unit (250ms, 30s, 36h, 14d), and so do sizes (64KiB). Paths are relative to the file. Lists of scalars are " +
		"separated by commas in options and variables, lists of objects are JSON there."
)

// standardFiles are what the program reads and writes unless it is told otherwise.
var standardFiles = []manEntry{
	{
		manHead{{"./gracegate.yaml", italic}, {", ", plain}, {"/etc/gracegate/gracegate.yaml", italic}},
		"The settings, in the first of the two that exists, unless --config or GRACEGATE_CONFIG names another file.",
	},
	{manHead{{"/var/lib/gracegate", italic}}, "The data directory of the service: records, what is counted of them, and the CA of interception."},
}

// commandPages returns the page of a command and those of the commands below it.
func commandPages(cmd *cobra.Command) []*manPage {
	cmd.InitDefaultHelpFlag()
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	var commands, options, settings []manEntry
	var below []*manPage
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			commands = append(commands, manEntry{manHead{{pageOf(sub), bold}, {"(1)", plain}}, sub.Short + "."})
			below = append(below, commandPages(sub)...)
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, is := config.Key(f); is {
			settings = append(settings, optionOf(f))
		} else if !f.Hidden {
			options = append(options, optionOf(f))
		}
	})
	p := &manPage{title: pageOf(cmd), section: 1, short: cmd.Short}
	p.add("SYNOPSIS", synopsis(cmd), nil)
	p.add("DESCRIPTION", manText(long), nil)
	p.add("COMMANDS", "", commands)
	p.add("OPTIONS", "", options)
	if len(settings) > 0 {
		p.add("SETTINGS", manText(settingsIntro), settings)
	}
	p.add("EXIT STATUS", "", exitStatus)
	var also []string
	if cmd.HasParent() {
		also = append(also, pageOf(cmd.Parent())+"(1)")
	}
	if len(settings) > 0 || !cmd.HasParent() {
		p.add("FILES", "", standardFiles)
		also = append(also, "gracegate.yaml(5)")
	}
	if cmd.Example != "" {
		p.add("EXAMPLES", manText(cmd.Example), nil)
	}
	p.add("SEE ALSO", manText(strings.Join(also, ", ")), nil)
	return append([]*manPage{p}, below...)
}

// settingsPage returns the page of the file with settings.
func settingsPage() *manPage {
	p := &manPage{title: "gracegate.yaml", section: 5, short: "settings of gracegate"}
	p.add("DESCRIPTION", manText(fileIntro), nil)
	for _, group := range config.AllGroups() {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.SortFlags = false
		config.AddFlags(flags, group)
		var keys []manEntry
		flags.VisitAll(func(f *pflag.Flag) {
			if key, is := config.Key(f); is {
				keys = append(keys, manEntry{manHead{{key, bold}, {" " + f.Value.Type(), italic}}, meaning(f)})
			}
		})
		p.add(strings.ToUpper(string(group)), "", keys)
	}
	p.add("FILES", "", standardFiles)
	p.add("SEE ALSO", manText("gracegate(1), gracegate-config(1), gracegate-serve(1)"), nil)
	return p
}

func pageOf(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func synopsis(cmd *cobra.Command) string {
	line := manHead{{cmd.CommandPath(), bold}, {" [", plain}, {"option", italic}, {"...]", plain}}
	if _, arguments, _ := strings.Cut(cmd.Use, " "); arguments != "" {
		line = append(line, manSpan{" " + arguments, plain})
	}
	if cmd.HasAvailableSubCommands() {
		line = manHead{{cmd.CommandPath(), bold}, {" ", plain}, {"command", italic}, {" [", plain}, {"option", italic}, {"...]", plain}}
	}
	return line.roff()
}

// optionOf describes a flag.
func optionOf(f *pflag.Flag) manEntry {
	var head manHead
	if f.Shorthand != "" {
		head = manHead{{"-" + f.Shorthand, bold}, {", ", plain}}
	}
	head = append(head, manSpan{"--" + f.Name, bold})
	switch value, _ := pflag.UnquoteUsage(f); {
	case value != "" && f.NoOptDefVal != "":
		head = append(head, manSpan{"[=", plain}, manSpan{value, italic}, manSpan{"]", plain})
	case value != "":
		head = append(head, manSpan{" " + value, italic})
	}
	return manEntry{head, meaning(f)}
}

// meaning is what the help says of a flag, as sentences.
func meaning(f *pflag.Flag) string {
	_, text := pflag.UnquoteUsage(f)
	text = strings.ToUpper(text[:1]) + text[1:] + "."
	if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) {
		text += " Default: " + f.DefValue + "."
	}
	return text
}
