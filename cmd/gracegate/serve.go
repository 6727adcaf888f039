package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

func newServe() *cobra.Command {
	var readyFile string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the proxy",
		Long: "Run the proxy until SIGTERM or an interrupt, then drain it; a second one ends it at once. SIGHUP reads policy and\n" +
			"catalogue again, as does a change of their files, and opens files of records anew; the configuration file is read once.",
		Args: noArguments,
	}
	config.AddFlags(cmd.Flags(), config.AllGroups()...)
	cmd.Flags().StringVar(&readyFile, "ready-file", "", "write the addresses to this `file` as JSON once listening")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		log, out, err := newLogger(cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
		if err != nil {
			return failed(err, "")
		}
		defer zap.RedirectStdLog(log.Named("go"))() // net/http tells some faults of origins there
		return serve(cmd.Context(), cfg, log, out, readyFile)
	}
	return cmd
}

// serve runs the gateway until ctx ends or the process is told to stop, and then drains it. Out is standard output.
func serve(ctx context.Context, cfg *config.Config, log *zap.Logger, out io.Writer, readyFile string) error {
	ctx, release := untilStopped(ctx)
	defer release()
	clk, err := newEdgeClock(cfg)
	if err != nil {
		return err
	}
	var always []zap.Field
	if clk.Simulated() {
		always = []zap.Field{zap.Bool("gracegate.simulated_clock", true)}
	}
	log = log.With(always...)
	hup := make(chan os.Signal, 1) // from the start on: one that nobody catches ends the process
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	signal.Ignore(syscall.SIGPIPE) // who read the records on standard output may go away: they are lost then, and nothing else is
	var files *watcher
	if cfg.Policy.Reload {
		var err error
		if files, err = newWatcher(slices.Concat(operatorNames(cfg), bundleFiles(cfg), nonEmpty(cfg.Clients.Auth)), cfg.Policy.Catalog, cfg.CADir()); err != nil {
			log.Error("policy and catalogue are not watched", zap.Error(err), zap.String("hint", "send SIGHUP after a change"))
		} else {
			defer files.close()
		}
	}
	if cfg.Limits.Memory > 0 {
		debug.SetMemoryLimit(cfg.Limits.Memory)
	}
	outlets, err := openOutlets(cfg, out, log, always)
	if err != nil {
		return err
	}
	bundles, err := openBundles(ctx, cfg, clk, log)
	if err != nil {
		return err
	}
	g, err := newGateway(cfg, clk, log, always, outlets, bundles)
	if err != nil {
		return err
	}
	announce(cfg, g.policy(), clk, log)
	g.connections = processFiles().fitConnections(cfg.Limits.Connections, log)
	if g.passed, err = takePassed(); err == nil {
		err = g.listen(ctx)
	}
	if err != nil {
		g.close(context.WithoutCancel(ctx))
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() { stop(g.serve()) }()
	go tuneHeap(ctx)
	go g.devices.Run(ctx)
	at := g.addresses()
	announceListeners(cfg, at, log)
	if readyFile != "" {
		if err := writeReadyFile(readyFile, at); err != nil {
			g.close(context.WithoutCancel(ctx))
			return failed(err, "--ready-file names a file that can be written")
		}
	}
	g.announceCA() // it goes through all names, which may be a million
	cut := g.attend(ctx, newSupervisor(log), hup, files, release)
	log.Info("stopped", zap.Bool("flows_cut", cut))
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return failed(cause, "")
	}
	return nil
}

// attend reloads the policy on every signal from hup and on changes of the files, if they are watched, until ctx ends. Then it
// calls release, drains the gateway, and tells whether flows had to be cut. The service manager hears of it all.
func (g *gateway) attend(ctx context.Context, manager *supervisor, hup <-chan os.Signal, files *watcher, release func()) (cut bool) {
	manager.ready(g.summary())
	rebuild := func(why string) { manager.reload(func() { g.reload(why) }, g.summary) }
	reload := func(why string) {
		rebuild(why)
		g.bundles.ask()
	}
	go reloadOnSignal(ctx, hup, reload)
	go g.bundles.run(ctx, func() { rebuild("policy.bundle") })
	go g.remindDaily(ctx)
	if files != nil {
		go files.run(ctx, g.log, func() { reload("files changed") })
	}
	watched, unwatch := context.WithCancel(context.WithoutCancel(ctx)) // also while it drains
	defer unwatch()
	go manager.watch(watched, g.answer, g.summary)

	<-ctx.Done()
	release()
	limit := g.cfg.Limits.Drain
	g.draining.Store(true) // /readyz tells it from here on, while clients are still accepted
	manager.stop("draining, at most " + limit.String())
	g.log.Info("draining", zap.Duration("at_most", limit))
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return g.close(drain)
}

// announce says at start which policy holds, for whom, and on which clock.
func announce(cfg *config.Config, p *policy.Policy, clk *edgeClock, log *zap.Logger) {
	bound := strings.Join(p.Operator().DefaultSite.Jurisdictions, ", ")
	if bound == "" {
		bound = "none"
	}
	fields := []zap.Field{
		zap.String("policy", policyName(cfg)), zap.String("revision", p.Revision()), zap.String("default_site_bound_by", bound),
		zap.Int("names", p.Catalog().Domains()), zap.Int("restrictions", len(p.Catalog().Restrictions)),
	}
	if policyName(cfg) == "" {
		fields[0] = zap.String("policy", "built-in")
		fields = append(fields, zap.String("hint", "gracegate config --policy prints it; policy.file replaces it"))
	}
	if cfg.Policy.Waivers != "" {
		fields = append(fields, zap.String("waivers", cfg.Policy.Waivers))
	}
	log.Info("policy in force", fields...)
	if parent := cfg.Upstream.Parent; parent.Port != 0 {
		log.Info("destinations are reached through a parent proxy", zap.Stringer("parent", parent), zap.Bool("log_in", cfg.Upstream.ParentAuth != ""))
	}
	if clk.Simulated() {
		log.Warn("the policy clock is simulated: decisions are not those of today", zap.String("policy_time", instant.Format(clk.Now())),
			zap.Float64("rate", cfg.Clock.Rate))
	}
}

// announceListeners says where clients are taken.
func announceListeners(cfg *config.Config, at addresses, log *zap.Logger) {
	fields := []zap.Field{zap.Strings("proxy", at.Proxy), zap.String("admin", at.Admin)}
	if len(at.SOCKS) > 0 {
		fields = append(fields, zap.Strings("socks", at.SOCKS))
	}
	if len(at.Transparent) > 0 {
		fields = append(fields, zap.Strings("transparent", at.Transparent))
	}
	log.Info("listening", fields...)
	if len(at.Transparent) > 0 && cfg.Clients.Auth != "" {
		log.Warn("clients of listen.transparent are not asked to log in", zap.String("hint", "they know of no proxy; tell them apart by their addresses"))
	}
}

// writeReadyFile writes the file in one step, so that who waits for it never reads half of it.
func writeReadyFile(name string, at addresses) error {
	body, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if err := putFile(name, nil, 0o600, contents(append(body, '\n'))); err != nil {
		return fmt.Errorf("ready file: %w", err)
	}
	return nil
}
