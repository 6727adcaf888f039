// Command gracegate is a forward proxy for the egress that lets vendors' updates pass until their grace period ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
)

// Exit codes, as README lists them.
const (
	exitDone     = 0
	exitFailed   = 1 // at run time
	exitInvalid  = 2 // usage, configuration or input
	exitMatched  = 3 // --fail-on matched
	exitRefused  = 4 // a proof was refused
	exitNotReady = 5
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// untilStopped returns a context that ends on an interrupt or SIGTERM, for commands that then have something to bring to an
// end. All others are ended by the signal itself, and so are these by a second one, once release was called.
func untilStopped(ctx context.Context) (stopped context.Context, release context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// run is the program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		completeValues(root)
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return report(stderr, root.ExecuteContext(ctx))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gracegate",
		Short: "A forward proxy that lets vendors' updates pass until their grace period ends",
		Long: "gracegate matches traffic at the egress to known vendor update endpoints, and allows or blocks it by\n" +
			"dated policy: what is allowed during a grace period stops at the instant the grace period ends.",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("gracegate {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return invalid(err, "see --help") })
	root.AddCommand(
		newServe(),
		newExplain(),
		newDiff(),
		newTest(),
		newExport(),
		newTimeline(),
		newLint(),
		newReport(),
		newAudit(),
		newWaiver(usesOf),
		newBundle(),
		newCA(),
		newClock(),
		newPAC(),
		newNFT(),
		newDoctor(),
		newDemo(),
		newReady(),
		newConfig(),
		newVersion(),
		newMan(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = knownTopic
		case "completion":
			c.Args, c.RunE = needsCommand, showHelp
		}
	}
	return root
}

// newGroup is a command that only has others below it.
func newGroup(name, short, long string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: long, Args: needsCommand, RunE: showHelp}
	cmd.AddCommand(below...)
	return cmd
}

// needsCommand refuses what cobra would answer with the help, as if nothing were wrong.
func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return invalid(fmt.Errorf("%s has no command %q", cmd.Name(), args[0]), cmd.CommandPath()+" --help lists them")
	}
	return nil
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// knownTopic refuses what help would answer with the list of commands, as if nothing were wrong.
func knownTopic(cmd *cobra.Command, args []string) error {
	if found, rest, err := cmd.Root().Find(args); err != nil || found == nil || len(rest) > 0 {
		return invalid(fmt.Errorf("no help on %q: no such command", strings.Join(args, " ")), "gracegate --help lists the commands")
	}
	return nil
}

// noArguments is cobra.NoArgs in words of ours: what comes after a command without arguments is no unknown command.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return invalid(fmt.Errorf("%s takes no arguments, not %q", cmd.Name(), args[0]), "see "+cmd.CommandPath()+" --help")
	}
	return nil
}

// codedError carries an exit code, and a hint for the reader.
type codedError struct {
	error
	code int
	hint string
}

func (e *codedError) Unwrap() error { return e.error }

func invalid(err error, hint string) error {
	return &codedError{err, exitInvalid, hint}
}

// hintOf returns the hint that an error carries, or "".
func hintOf(err error) string {
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.hint
	}
	return ""
}

// report prints an error as `error: ...` and `hint: ...` and returns the exit code. Several mistakes get a line each.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	var problems policy.Problems
	var settings config.Errors
	var coded *codedError
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			where := p.Pos.String()
			if where != "" {
				where += ": "
			}
			printError(stderr, where+p.Message, p.Hint)
		}
		return exitInvalid
	case errors.As(err, &settings):
		for _, p := range settings {
			hint := p.Hint
			p.Hint = ""
			printError(stderr, p.Error(), hint)
		}
		return exitInvalid
	case errors.As(err, &coded):
		if coded.error != nil {
			printError(stderr, coded.Error(), coded.hint)
		}
		return coded.code
	default:
		if _, is := errors.AsType[*fs.PathError](err); is { // of what cobra writes itself, such as completions
			printError(stderr, err.Error(), "")
			return exitFailed
		}
		// What cobra refuses before a command runs is usage; commands wrap their own failures.
		message, hint := err.Error(), "see --help"
		if m, meant, ok := strings.Cut(message, "\n\nDid you mean this?\n"); ok {
			message, hint = m, "did you mean "+strings.Join(strings.Fields(meant), " or ")+"?"
		}
		printError(stderr, message, hint)
		return exitInvalid
	}
}

func printError(w io.Writer, message, hint string) {
	_, _ = fmt.Fprintf(w, "error: %s\n", message)
	if hint != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// failed marks an error as one of run time, unless it says itself what it is.
func failed(err error, hint string) error {
	if _, coded := err.(*codedError); err == nil || coded { //nolint:errorlint // one that is joined to others or wrapped says less than all of it
		return err
	}
	return &codedError{err, exitFailed, hint}
}
