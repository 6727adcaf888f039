package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/audit/journal"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/console"
	"github.com/gracegate/gracegate/policy/clock"
	"github.com/gracegate/gracegate/policy/instant"
)

func newClock() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Tell whether the clock can be believed, and if not why",
		Long: "Tell policy time and the machine's, whether the clock can be believed and if not why, and who vouches for it: what\n" +
			"the gateway on listen.admin says, or, where none answers, what one that starts now with this data directory would say.",
		Args: noArguments,
	}
	config.AddFlags(cmd.Flags(), config.GroupData, config.GroupClock, config.GroupListen, config.GroupAdmin)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		from, status, err := clockStatus(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		return failed(printClock(cmd.OutOrStdout(), from, status, asJSON), "")
	}
	cmd.AddCommand(newClockAccept())
	return cmd
}

// clockStatus asks the gateway that runs how its clock stands, or makes a clock as a gateway would.
func clockStatus(ctx context.Context, cfg *config.Config) (from string, status *console.Clock, err error) {
	asking, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if cfg.Listen.Admin != "" {
		req, err := readinessRequest(asking, cfg)
		if err != nil {
			return "", nil, err
		}
		var told struct{ Clock console.Clock }
		if body, _, err := getReadiness(req); err == nil && json.Unmarshal(body, &told) == nil && told.Clock.State != "" {
			return "the gateway on " + cfg.Listen.Admin, &told.Clock, nil
		}
	}
	if err := refuseSimulated(cfg); err != nil {
		return "", nil, err
	}
	c, err := newEdgeClock(cfg)
	if err != nil {
		return "", nil, err
	}
	if c.guarded != nil {
		c.guarded.Ask(ctx)
	}
	s := c.status()
	return "no gateway answers: as one that starts now with " + cfg.Data.Dir, &s, nil
}

// refuseSimulated refuses a data directory whose records were made on a simulated clock, which has no mark.
func refuseSimulated(cfg *config.Config) error {
	if simulated, _ := isSimulated(cfg.Data.Dir); simulated {
		return invalid(fmt.Errorf("%s holds the records of a simulated clock, which has no mark", cfg.Data.Dir), "--data-dir names the data directory of a gateway on real time")
	}
	return nil
}

func printClock(out io.Writer, from string, s *console.Clock, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	state := "trusted"
	if !s.Trusted {
		state = "NOT trusted: " + s.State
	}
	text := fmt.Appendf(nil, "%s\nclock        %s\n", from, state)
	if s.Detail != "" {
		text = fmt.Appendf(text, "             %s\n", s.Detail)
	}
	text = fmt.Appendf(text, "policy time  %s\nmachine      %s%s\n", instant.Format(s.PolicyTime.Truncate(time.Second)), instant.Format(s.WallTime.Truncate(time.Second)), behindOrAhead(s))
	switch {
	case s.Simulated:
		text = fmt.Appendf(text, "             %s\n", s.Description)
	case s.MarkError != "":
		text = fmt.Appendf(text, "mark         not kept: %s\n", s.MarkError)
	case s.Mark != nil:
		text = fmt.Appendf(text, "mark         %s\n", instant.Format(s.Mark.Truncate(time.Second)))
	}
	if s.Kernel != "" {
		text = fmt.Appendf(text, "kernel       %s\n", s.Kernel)
	}
	if s.Source != nil {
		text = fmt.Appendf(text, "second       %s\n", sourceText(s.Source))
	}
	if !s.Trusted {
		text = append(text, "If the machine's clock is right: gracegate clock accept --reason \"...\"\n"...)
	}
	_, err := out.Write(text)
	return err
}

// behindOrAhead is how far the machine's clock is from policy time, where that is more than the reading takes.
func behindOrAhead(s *console.Clock) string {
	off := s.WallTime.Sub(s.PolicyTime)
	switch {
	case s.Simulated || off.Abs() < time.Second:
		return ""
	case off < 0:
		return ", " + clock.Span(off) + " behind"
	}
	return ", " + clock.Span(off) + " ahead"
}

func sourceText(s *console.TimeSource) string {
	switch {
	case s.Ahead != nil && *s.Ahead < 0:
		return fmt.Sprintf("%s: the machine is %.1f s behind it", s.Source, -*s.Ahead)
	case s.Ahead != nil:
		return fmt.Sprintf("%s: the machine is %.1f s ahead of it", s.Source, *s.Ahead)
	case s.Error != "":
		return fmt.Sprintf("%s does not answer: %s", s.Source, s.Error)
	}
	return s.Source + " has not answered yet"
}

func newClockAccept() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "accept",
		Short: "Take the machine's clock for right as it is now",
		Long: "Take the machine's clock for right as it is now: policy time is what it shows from here on, earlier or later than\n" +
			"before. What ended before may open again by that, so it leaves a record with who did it and the reason. A gateway\n" +
			"that runs on this data directory does it at once, and judges what is open again.",
		Example: "  gracegate clock accept --reason \"the clock was a year ahead until the battery was replaced\"",
		Args:    noArguments,
	}
	config.AddFlags(cmd.Flags(), config.GroupData, config.GroupClock)
	cmd.Flags().StringVar(&reason, "reason", "", "`why` it is right, for the record")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if reason = strings.TrimSpace(reason); reason == "" {
			return invalid(errors.New("accept needs a reason"), `--reason "why the machine's clock is right", for the record`)
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if _, err := os.Stat(cfg.Data.Dir); errors.Is(err, fs.ErrPermission) {
			return failed(fmt.Errorf("the data directory: %w", err), runAsGateway)
		} else if err != nil {
			return invalid(fmt.Errorf("the data directory: %w", err), "--data-dir names the data directory of a gateway that has run")
		}
		if err := refuseSimulated(cfg); err != nil {
			return err
		}
		machine := kernel.Read().Wall
		r := &acceptance{Machine: machine, Reason: reason, By: operatorName()}
		if err := accept(cmd.Context(), cfg, r); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "accepted: policy time is the machine's, %s\n", instant.Format(machine.Truncate(time.Second)))
		return failed(err, "")
	}
	return cmd
}

// accept has the gateway that runs accept the clock, or does it in its place.
func accept(ctx context.Context, cfg *config.Config, r *acceptance) (err error) {
	built, err := builtOn()
	if err != nil {
		return failed(err, "")
	}
	if r.Machine.Before(built) {
		return invalid(&clock.BeforeBuildError{Wall: r.Machine, Built: built}, "set the machine's clock first")
	}
	j, err := journal.Open(journalDir(cfg), journal.Options{Encoder: audit.NewEncoder()})
	if _, locked := errors.AsType[*journal.LockedError](err); locked {
		return (&requests{dir: cfg.Data.Dir}).ask(ctx, r)
	}
	if err != nil {
		return journalFailure(err)
	}
	var unwritten error
	g, err := newGuarded(cfg, func(e clock.Event) {
		_, err := j.Write([]*audit.Record{turnOf(&e)})
		unwritten = errors.Join(unwritten, err)
	})
	if err == nil {
		err = g.Accept(r.Reason, r.By)
	}
	err = errors.Join(err, unwritten, j.Close())
	made, walked := filepath.Glob(filepath.Join(journalDir(cfg), "*"))
	giveToOwner(cfg.Data.Dir, append(made, journalDir(cfg), markOf(cfg))...)
	return failed(errors.Join(err, walked), "")
}

// operatorName is who runs this program, as far as it can be told.
func operatorName() string {
	name := "user " + strconv.Itoa(os.Geteuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && sudo != name {
		return sudo + " as " + name
	}
	return name
}
