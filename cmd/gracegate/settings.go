package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/catalog"
)

func newConfig() *cobra.Command {
	var policyText, page, strict, markdown, catalogue bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting in effect, with comments",
		Long: "Print every setting in effect as a configuration file with comments, and where each one that is not the\n" +
			"default was set. With --policy, print the policy in effect: the file, or the built-in one. With --strict, print\n" +
			"the strict profile: what to put into a policy file so that nothing passes unseen or unknown. With --page, print\n" +
			"the built-in page of refusals, as a start for a file that deny.page names. With --catalog, print the catalogue in\n" +
			"effect as Markdown: the restrictions with their timelines, the vendors with their endpoints, and all sources.",
		Args: noArguments,
	}
	config.AddFlags(cmd.Flags(), config.AllGroups()...)
	cmd.Flags().BoolVar(&policyText, "policy", false, "print the policy in effect instead")
	cmd.Flags().BoolVar(&page, "page", false, "print the built-in page of refusals instead")
	cmd.Flags().BoolVar(&strict, "strict", false, "print the strict profile instead")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the table of settings for the documentation instead")
	cmd.Flags().BoolVar(&catalogue, "catalog", false, "print the catalogue in effect as Markdown instead")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		out := cmd.OutOrStdout()
		switch {
		case moreThanOne(policyText, page, strict, markdown, catalogue):
			return invalid(errors.New("config prints one thing at a time"), "one of --policy, --page, --strict, --markdown and --catalog")
		case page:
			_, err := io.WriteString(out, builtinPage())
			return failed(err, "")
		case strict:
			_, err := out.Write(catalog.Strict().Data)
			return failed(err, "")
		case markdown:
			return failed(config.Markdown(out), "")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		switch {
		case policyText:
			return printPolicy(out, &law{cfg: cfg})
		case catalogue:
			return printCatalogue(out, &law{cfg: cfg})
		}
		return failed(cfg.WriteYAML(out), "")
	}
	return cmd
}

func printPolicy(out io.Writer, l *law) error {
	b, err := l.bundle()
	if err != nil {
		return err
	}
	file, unread := l.policyFile(b)
	if err := unread.Err(); err != nil {
		return err
	}
	if _, err := out.Write(file.Data); err != nil {
		return failed(fmt.Errorf("policy: %w", err), "")
	}
	return nil
}

func printCatalogue(out io.Writer, l *law) error {
	b, err := l.bundle()
	if err != nil {
		return err
	}
	c, err := l.catalog(b)
	if err != nil {
		return err
	}
	return failed(catalog.Markdown(out, c, ""), "")
}

func moreThanOne(set ...bool) bool {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n > 1
}
