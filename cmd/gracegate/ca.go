package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/host"
)

func newCA() *cobra.Command {
	return newGroup("ca", "Make, show, export and renew the CA for interception",
		"The CA is two certificates: a root that clients trust, and an intermediate that can sign only for the names\n"+
			"that the policy could block. It is kept in ca.dir. Without one, nothing is intercepted.",
		newCAInit(), newCAShow(), newCAExport(), newCARenew())
}

// caCommand is a command that knows where the CA is.
func caCommand(use, short string, run func(cmd *cobra.Command, cfg *config.Config, dir string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: noArguments}
	config.AddFlags(cmd.Flags(), config.GroupPolicy, config.GroupCA, config.GroupData)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		dir := cfg.CADir()
		if dir == "" {
			return invalid(errors.New("ca.dir is empty: interception is off"), "ca.dir names the directory of the CA")
		}
		return run(cmd, cfg, dir)
	}
	return cmd
}

// zonesOf are the names that the policy of a configuration could block.
func zonesOf(cfg *config.Config) ([]host.Name, error) {
	p, err := loadPolicy(cfg)
	if err != nil {
		return nil, err
	}
	return p.Interceptable(), nil
}

// tellRemoved says which files of a run that was killed are gone.
func tellRemoved(cmd *cobra.Command) func(name string) {
	return func(name string) {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "removed %s, which was left by a run that was killed\n", name)
	}
}

const offlineUsage = "keep the key of the root in this `directory`, such as on a stick, instead of beside the rest"

func newCAInit() *cobra.Command {
	var offline string
	cmd := caCommand("init", "Make a root and an intermediate for the zones of the policy", func(cmd *cobra.Command, cfg *config.Config, dir string) error {
		zones, err := zonesOf(cfg)
		if err != nil {
			return err
		}
		ca, err := initCA(dir, offline, zones, tellRemoved(cmd))
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if err := writeCA(out, dir, ca); err != nil {
			return failed(err, "")
		}
		_, err = fmt.Fprintln(out, "clients must trust the root: gracegate ca export, or /cacert of a running gateway")
		return failed(err, "")
	})
	cmd.Flags().StringVar(&offline, "offline-root", "", offlineUsage)
	return cmd
}

func newCARenew() *cobra.Command {
	var offline string
	cmd := caCommand("renew", "Make a new intermediate, for the zones of the policy as it is now; the root stays", func(cmd *cobra.Command, cfg *config.Config, dir string) error {
		zones, err := zonesOf(cfg)
		if err != nil {
			return err
		}
		was, _ := readCA(dir) // it may be what is to be mended
		ca, err := renewCA(dir, offline, zones, tellRemoved(cmd))
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if err := writeCA(out, dir, ca); err != nil || was == nil {
			return failed(err, "")
		}
		_, err = fmt.Fprintf(out, "%-13s %s\n%-13s %s\n", "added", list(without(ca.Zones, was.permits)), "dropped", list(without(was.Zones, ca.permits)))
		return failed(err, "")
	})
	cmd.Flags().StringVar(&offline, "offline-root", "", "the `directory` with root.key, if it is not kept beside the rest")
	return cmd
}

func newCAShow() *cobra.Command {
	var asJSON bool
	cmd := caCommand("show", "Tell what the CA is, until when it is valid, and what it may sign for", func(cmd *cobra.Command, cfg *config.Config, dir string) error {
		ca, err := readCA(dir)
		if err != nil {
			return err
		}
		zones, err := zonesOf(cfg)
		if err != nil {
			return err
		}
		uncovered := without(zones, ca.permits)
		out := cmd.OutOrStdout()
		if asJSON {
			return failed(writeCAJSON(out, dir, ca, uncovered), "")
		}
		if err := writeCA(out, dir, ca); err != nil {
			return failed(err, "")
		}
		for _, z := range ca.Zones {
			if _, err := fmt.Fprintln(out, "  "+z.String()); err != nil {
				return failed(err, "")
			}
		}
		if ca.Problem != "" {
			if _, err := fmt.Fprintf(out, "not in force: %s\n  %s\n", ca.Problem, ca.Hint); err != nil {
				return failed(err, "")
			}
		}
		if len(uncovered) > 0 {
			_, err = fmt.Fprintf(out, "not covered: %s\n  gracegate ca renew adds what the policy names\n", list(uncovered))
		}
		return failed(err, "")
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newCAExport() *cobra.Command {
	var format, name string
	cmd := caCommand("export", "Write the root for clients to trust; never a key", func(cmd *cobra.Command, _ *config.Config, dir string) error {
		ca, err := readCA(dir)
		if err != nil {
			return err
		}
		data, err := exportRoot(ca.Root, format)
		if err != nil {
			return invalid(err, "--format is pem, der or mobileconfig")
		}
		to := output{flag: "output", name: name}
		switch {
		case !to.toStdout() && holdsKey(name):
			return invalid(fmt.Errorf("%s holds a private key, and is not written over", name), "--output names another file")
		case to.toStdout() && format == "der" && isTerminal(cmd.OutOrStdout()):
			return invalid(errors.New("the der form is binary, and standard output is a terminal"), "--output FILE, or --format pem")
		}
		return to.write(cmd.OutOrStdout(), contents(data))
	})
	cmd.Flags().StringVar(&format, "format", "pem", "`format`: pem, der or mobileconfig (for Apple's systems)")
	cmd.Flags().StringVar(&name, "output", "-", "the `file` to write; - is standard output")
	return cmd
}

// holdsKey tells whether a file holds a private key, which must not be lost: that of a root is not made again.
func holdsKey(name string) bool {
	there, err := readAtMost(name, 1<<20)
	return err == nil && bytes.Contains(there, []byte("PRIVATE KEY-----"))
}

// isTerminal tells whether a person would see what is written: the only other device that is common is the null device.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

func writeCA(out io.Writer, dir string, ca *caFacts) error {
	_, err := fmt.Fprintf(out, "directory     %s\nroot          %s, until %s\nfingerprint   %s\nintermediate  %s, until %s\nrenew by      %s\nzones         %d\n",
		dir, ca.Root.Subject.CommonName, date(ca.Root.NotAfter), fingerprint(ca.Root.Raw),
		ca.Intermediate.Subject.CommonName, date(ca.Intermediate.NotAfter), date(ca.RenewBy), len(ca.Zones))
	return err
}

func writeCAJSON(out io.Writer, dir string, ca *caFacts, uncovered []host.Name) error {
	return writeJSON(out, map[string]any{
		"directory": dir, "root": ca.Root.Subject.CommonName, "root_not_after": ca.Root.NotAfter.UTC(), "fingerprint_sha256": fingerprint(ca.Root.Raw),
		"intermediate": ca.Intermediate.Subject.CommonName, "intermediate_not_after": ca.Intermediate.NotAfter.UTC(),
		"renew_by": ca.RenewBy.UTC(), "in_force": ca.Problem == "", "zones": texts(ca.Zones), "not_covered": texts(uncovered),
	})
}

// without returns the names that are not permitted.
func without(names []host.Name, permits func(host.Name) bool) []host.Name {
	var rest []host.Name
	for _, n := range names {
		if !permits(n) {
			rest = append(rest, n)
		}
	}
	return rest
}

func texts(names []host.Name) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = n.String()
	}
	return all
}

// list shows some names, and how many more there are.
func list(names []host.Name) string {
	const most = 10
	if len(names) == 0 {
		return "none"
	}
	if more := len(names) - most; more > 0 {
		return strings.Join(texts(names[:most]), ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(texts(names), ", ")
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// fingerprint is how people compare certificates.
func fingerprint(der []byte) string {
	digest := sha256.Sum256(der)
	return string(bytes.ReplaceAll(fmt.Appendf(nil, "% X", digest), []byte(" "), []byte(":")))
}

// cacertTypes are the media types of the formats of a root.
var cacertTypes = map[string][2]string{ // type, name
	"pem":          {"application/x-pem-file", "gracegate-root.pem"},
	"der":          {"application/x-x509-ca-cert", "gracegate-root.cer"},
	"mobileconfig": {"application/x-apple-aspen-config", "gracegate-root.mobileconfig"},
}

// cacertHandler serves the root that clients are to trust: /cacert, with format=der or format=mobileconfig for other forms.
func cacertHandler(a *authority) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		format := r.URL.Query().Get("format")
		if format == "" {
			format = "pem"
		}
		root, kind := a.root(), cacertTypes[format]
		switch {
		case kind[0] == "":
			http.Error(w, "format is pem, der or mobileconfig", http.StatusBadRequest)
			return
		case root == nil:
			http.Error(w, "this gateway has no CA: it intercepts nothing", http.StatusNotFound)
			return
		}
		data, err := exportRoot(root, format)
		if err != nil {
			http.Error(w, "the root could not be written", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", kind[0])
		w.Header().Set("Content-Disposition", `attachment; filename="`+kind[1]+`"`)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(data) //nolint:gosec // G705: a certificate, under a type that is no HTML
	})
}

// announceCA says what can be intercepted, and what the policy would have to see and cannot, whenever either has changed.
func (g *gateway) announceCA() {
	root := g.authority.root()
	problem, _ := g.authority.outOfForce(time.Now())
	now := g.policy().Revision() + " " + g.authority.serial() + " " + problem
	if now == g.announced {
		return
	}
	g.announced = now
	if root == nil {
		if g.authority.dir == "" {
			g.log.Info("nothing is intercepted: ca.dir is empty")
			return
		}
		g.log.Info("nothing is intercepted: there is no CA", zap.String("ca_dir", g.authority.dir), zap.String("hint", "gracegate ca init makes one"))
		return
	}
	if problem != "" {
		g.remind()
		return
	}
	p := g.policy()
	g.log.Info("interception is possible", zap.String("root", root.Subject.CommonName), zap.String("fingerprint", fingerprint(root.Raw)))
	if rest := g.authority.uncovered(p.Interceptable()); len(rest) > 0 {
		g.log.Warn("the CA may not sign for zones of the policy", zap.String("zones", list(rest)), zap.String("hint", "gracegate ca renew"))
	}
	g.remind()
	for _, problem := range p.Unmet() {
		g.log.Warn("the policy would have to see what it may not", zap.String("at", problem.Pos.String()), zap.String("problem", problem.Message), zap.String("hint", problem.Hint))
	}
}

// remind says that the CA signs nothing, or is due to be renewed, if that is so.
func (g *gateway) remind() {
	now := time.Now()
	if problem, hint := g.authority.outOfForce(now); problem != "" {
		g.log.Error("nothing is intercepted: the CA is not in force", zap.String("problem", problem), zap.String("hint", hint))
	} else if by, due := g.authority.due(now); due {
		g.log.Warn("the CA nears its end", zap.Time("renew_by", by), zap.Time("not_after", g.authority.notAfter()), zap.String("hint", "gracegate ca renew"))
	}
}

// remindDaily reminds once a day, and as soon as the CA has ended, until ctx ends: a gateway may run for longer than its CA lives.
func (g *gateway) remindDaily(ctx context.Context) {
	const day = 24 * time.Hour
	for next := time.Now().Add(day); ; {
		now := time.Now()
		wake := next
		if over := g.authority.notAfter().Add(time.Second); over.After(now) && over.Before(next) { // its last second is valid
			wake = over
		}
		timer := time.NewTimer(wake.Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			g.remind()
		}
		if wake.Equal(next) {
			next = time.Now().Add(day)
		}
	}
}
