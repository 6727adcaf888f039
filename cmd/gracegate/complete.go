package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/bundle"
)

// completeValues has shells offer files only where a command takes files, and the values of every flag that takes one of a few. It
// goes by what the help says, so that commands and flags that are added need nothing here.
func completeValues(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	for _, cmd := range root.Commands() {
		completeCommand(cmd)
	}
}

func completeCommand(cmd *cobra.Command) {
	if takesFiles.MatchString(cmd.Use) && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if complete := completionOf(f); complete != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails only where the command did so itself
		}
	})
	for _, sub := range cmd.Commands() {
		completeCommand(sub)
	}
}

var (
	// takesFiles finds the arguments of a command that are files, in its line of usage.
	takesFiles = regexp.MustCompile(`\b(FILE|OLD|NEW|DIR)\b`)
	// fewWords finds the words that a flag takes where its usage ends with them: "`format`: text, html or json".
	fewWords = regexp.MustCompile("`: ((?:[a-z-]+, )*[a-z-]+ or [a-z-]+)(?: \\(.*\\))?$")
	// settingWords finds them in the kind of a setting: debug|info|warn|error.
	settingWords = regexp.MustCompile(`^[\w-]+(\|[\w-]+)+$`)
)

// completionOf returns what completes a flag's value, or nil.
func completionOf(f *pflag.Flag) cobra.CompletionFunc {
	switch what, _ := pflag.UnquoteUsage(f); what {
	case "file", "path":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	case "directory":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case "vendor":
		return fromPolicy(vendorNames)
	case "restriction":
		return fromPolicy(restrictionNames)
	case "site":
		return fromPolicy(siteNames)
	case "channel":
		return words(policy.ChannelWords)
	}
	if m := fewWords.FindStringSubmatch(f.Usage); m != nil {
		return words(strings.Split(strings.ReplaceAll(m[1], " or ", ", "), ", "))
	}
	if kind := f.Value.Type(); settingWords.MatchString(kind) {
		return words(slices.DeleteFunc(strings.Split(kind, "|"), isPlaceholder))
	}
	return nil
}

// isPlaceholder tells a word that stands for others, as in all|clock|INSTANT.
func isPlaceholder(word string) bool { return word == strings.ToUpper(word) }

func words(all []string) cobra.CompletionFunc {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}

// fromPolicy offers names that the policy in effect knows, and none if it cannot be read: a shell has no place for errors.
func fromPolicy(names func(*policy.Policy) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		l := &law{cfg: cfg}
		if cfg.Policy.BundleURL() { // a shell does not wait for a network
			l.bundles = func() (*bundle.Bundle, error) { return keptBundle(cfg) }
		}
		p, err := l.build(nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(p), cobra.ShellCompDirectiveNoFileComp
	}
}

func vendorNames(p *policy.Policy) []string {
	var names []string
	for _, vendors := range [][]policy.Vendor{p.Catalog().Vendors, p.Operator().Vendors} {
		for i := range vendors {
			names = append(names, vendors[i].ID+"\t"+vendors[i].Name)
		}
	}
	return names
}

func restrictionNames(p *policy.Policy) []string {
	var names []string
	for i := range p.Catalog().Restrictions {
		names = append(names, p.Catalog().Restrictions[i].ID+"\t"+p.Catalog().Restrictions[i].Title)
	}
	return names
}

func siteNames(p *policy.Policy) []string {
	var names []string
	for i := range p.Operator().Sites {
		names = append(names, p.Operator().Sites[i].Name)
	}
	return names
}

func waiverNames(p *policy.Policy) []string {
	var names []string
	for i := range p.Operator().Waivers {
		names = append(names, p.Operator().Waivers[i].ID+"\t"+p.Operator().Waivers[i].Reason)
	}
	return names
}
