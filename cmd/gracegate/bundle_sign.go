package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/bundle"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/source"
)

// signing is what a bundle is to be, in the words of the flags.
type signing struct {
	key, output      string
	version          int64
	created, expires string
	waivers, longest string
}

func newBundleSign() *cobra.Command {
	var s signing
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Sign the configured policy, its catalogue and its waivers as a bundle",
		Long: "Sign what policy.file, policy.catalog and policy.waivers name as a bundle, if a gateway would take it. The same files, flags\n" +
			"and --created make the same bytes. A version must be higher than every one before it: that of a change, or the time\n" +
			"in seconds. --expires is an instant, or a duration from --created on.",
		Example: "  gracegate bundle sign --policy-file policy.yaml --policy-catalog catalog --version 12 --expires 90d\n" +
			"  gracegate bundle sign --version \"$(git rev-list --count HEAD)\" --expires 30d --max-waiver 14d --output public/site.bundle",
		Args: noArguments,
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy)
	f.StringVar(&s.key, "key", secretKeyFile, "the `file` of the secret key")
	f.StringVar(&s.output, "output", "policy.bundle", "write the bundle to this `file`")
	f.Int64Var(&s.version, "version", 0, "the `number` of this bundle, higher than that of all before")
	f.StringVar(&s.expires, "expires", "", "the `instant` from which on no gateway takes it up, or a duration such as 90d")
	f.StringVar(&s.created, "created", "", "the `instant` from which on it is valid (default now)")
	f.StringVar(&s.waivers, "waivers", "allow", "whether gateways may have waivers of their own, a `word`: allow or forbid")
	f.StringVar(&s.longest, "max-waiver", "", "the longest `time` that such a waiver may last, such as 30d (default any)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		m, err := s.manifest(kernel.Read().Wall)
		if err != nil {
			return err
		}
		members, err := bundleMembers(cfg)
		if err != nil {
			return err
		}
		m.CatalogOnly = cfg.Policy.CatalogOnly
		key, err := readSecretKey(cmd, s.key)
		if err != nil {
			return err
		}
		b, err := makeBundle(m, members, key)
		if err != nil {
			return err
		}
		p, err := compileBundle(cfg, b)
		if err != nil {
			return err
		}
		if err := writeBundle(s.output, b, key.Public()); err != nil {
			return err
		}
		return failed(describeBundle(cmd.OutOrStdout(), "signed", s.output, b, p), "")
	}
	return cmd
}

// manifest reads the flags. All mistakes are told at once.
func (s *signing) manifest(now time.Time) (m bundle.Manifest, err error) {
	var problems policy.Problems
	wrong := func(flag, hint, format string, args ...any) {
		problems.Add(policy.Pos{File: "--" + flag}, hint, format, args...)
	}
	m.Version = s.version
	if m.Version < 1 || m.Version > bundle.MaxVersion {
		wrong("version", "one more than the last; the first is 1", "a bundle has a version of 1 to %d", int64(bundle.MaxVersion))
	}
	m.Created = now.UTC().Truncate(time.Second)
	if s.created != "" {
		if m.Created, err = parseAt("created", s.created); err != nil {
			wrong("created", hintOf(err), "%s", err)
		}
	}
	if ahead, ok := source.ParseDuration(s.expires); ok {
		m.Expires = m.Created.Add(ahead)
	} else if m.Expires, err = parseAt("expires", s.expires); err != nil {
		wrong("expires", "a duration such as 90d, or an instant such as 2027-03-01T00:00:00Z", "%q is no instant and no duration", s.expires)
	}
	switch {
	case len(problems) > 0:
	case !m.Created.Before(m.Expires):
		wrong("expires", "", "it is not after --created")
	case m.Created.Nanosecond() != 0 || m.Expires.Nanosecond() != 0:
		wrong("expires", "", "it and --created are whole seconds")
	}
	switch s.waivers {
	case "allow":
	case "forbid":
		m.Limits.Forbidden = true
	default:
		wrong("waivers", "allow or forbid", "%q is no word for waivers", s.waivers)
	}
	if s.longest != "" {
		longest, ok := source.ParseDuration(s.longest)
		switch {
		case !ok || longest < time.Second || longest%time.Second != 0:
			wrong("max-waiver", "whole seconds, such as 30d or 36h", "%q is no time that a waiver may last", s.longest)
		case m.Limits.Forbidden:
			wrong("max-waiver", "leave one of the two out", "there is nothing to limit with --waivers forbid")
		}
		m.Limits.MaxSeconds = int64(longest / time.Second)
	}
	return m, problems.Err()
}

// bundleMembers reads the files that make a bundle.
func bundleMembers(cfg *config.Config) (map[string][]byte, error) {
	if cfg.Policy.File == "" {
		return nil, invalid(errors.New("there is no policy file to sign"), "--policy-file policy.yaml")
	}
	files, unread, err := (&law{cfg: cfg}).operatorFiles()
	if err == nil {
		err = unread.Err()
	}
	if err != nil {
		return nil, err
	}
	members := map[string][]byte{bundle.PolicyName: files.policy.Data}
	for _, f := range files.waivers {
		members[bundle.WaiversName] = f.Data
	}
	if dir := cfg.Policy.Catalog; dir != "" {
		for name, text := range catalog.Files(dir) {
			members[path.Join(bundle.CatalogDir, name)] = text
		}
	}
	return members, nil
}

// makeBundle signs, and reads what it signed as a gateway would.
func makeBundle(m bundle.Manifest, members map[string][]byte, key *bundle.SecretKey) (*bundle.Bundle, error) {
	data, err := bundle.Make(m, members, key)
	if err == nil {
		var b *bundle.Bundle
		if b, err = bundle.Read(data, []bundle.Key{key.Public()}); err == nil {
			return b, nil
		}
	}
	hint := ""
	if refused, ok := errors.AsType[*bundle.RefusedError](err); ok {
		hint = refused.Hint
	}
	return nil, invalid(fmt.Errorf("the bundle: %w", err), hint)
}

// compileBundle makes the policy of a bundle that was packed from the configured files. Mistakes are told of those.
func compileBundle(cfg *config.Config, b *bundle.Bundle) (*policy.Policy, error) {
	packed := *cfg
	packed.Policy.File, packed.Policy.Waivers, packed.Policy.Catalog, packed.Policy.CatalogOnly = "", "", "", false
	packed.Policy.Bundle = bundleMember("")
	l := &law{cfg: &packed, bundles: func() (*bundle.Bundle, error) { return b, nil }}
	p, err := l.build(nil)
	if err != nil {
		if _, plain := (&law{cfg: cfg}).build(nil); plain != nil {
			return nil, plain
		}
	}
	return p, err
}

// writeBundle puts a bundle into its place, in one step. What is there must be a bundle, and an older one if it is of this key.
func writeBundle(name string, b *bundle.Bundle, key bundle.Key) error {
	const hint = "--output names a file that can be written"
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		info = nil
	case err != nil:
		return failed(err, hint)
	case !info.Mode().IsRegular() || !looksLikeBundle(name):
		return invalid(fmt.Errorf("%s is there, and is no bundle to write over", name), "--output names another file")
	default:
		data, err := readBundleFile(name)
		if err != nil {
			return err
		}
		if was, err := bundle.Read(data, []bundle.Key{key}); err == nil {
			if b.After(was.Seen()) != nil {
				return invalid(fmt.Errorf("%s is version %d of a bundle already", name, was.Version), fmt.Sprintf("--version %d is the next", was.Version+1))
			}
		}
	}
	perm := fs.FileMode(0o644) // for everybody: it is signed, and no secret
	if info != nil {
		perm = info.Mode().Perm()
	}
	return failed(putFile(name, info, perm, contents(b.Bytes())), hint)
}

// describeBundle tells what a bundle is.
func describeBundle(out io.Writer, did, name string, b *bundle.Bundle, p *policy.Policy) error {
	text := fmt.Appendf(nil, "%-10s %s, %d bytes\nversion    %d\ncreated    %s\nexpires    %s\nkey        %s\n", did, name, len(b.Bytes()), b.Version,
		b.Created.Format(time.RFC3339), b.Expires.Format(time.RFC3339), b.KeyID)
	text = fmt.Appendf(text, "waivers    %s\nrevision   %s\nmembers    %s\n", limitsText(b.Limits), p.Revision(), memberText(b))
	_, err := out.Write(text)
	return err
}

func limitsText(l bundle.Limits) string {
	switch {
	case l.Forbidden:
		return "none but its own"
	case l.MaxSeconds > 0:
		return "those of a gateway last at most " + spanText(l.Max())
	}
	return "a gateway may have its own"
}

// memberText lists the members, a catalogue as one of them.
func memberText(b *bundle.Bundle) string {
	var list []string
	files := 0
	for _, m := range b.Members {
		if strings.HasPrefix(m.Name, bundle.CatalogDir+"/") {
			files++
			continue
		}
		list = append(list, m.Name)
	}
	switch {
	case files > 0 && b.CatalogOnly:
		list = append(list, fmt.Sprintf("a catalogue that stands alone (files: %d)", files))
	case files > 0:
		list = append(list, fmt.Sprintf("a catalogue beside the built-in one (files: %d)", files))
	}
	return strings.Join(list, ", ")
}
