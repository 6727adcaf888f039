package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/proxy/divert"
)

func newPAC() *cobra.Command {
	var address, only string
	var opts divert.Options
	cmd := &cobra.Command{
		Use:   "pac",
		Short: "Print a proxy auto-configuration file for clients",
		Long: "Print a proxy auto-configuration file (PAC), for a web server or a policy of the clients' operating system. A running\n" +
			"gateway serves the same file as /proxy.pac and /wpad.dat. Plain host names, local zones and private addresses are\n" +
			"reached directly. Everything else goes through the proxy, or, with --only catalog, the names that the policy knows:\n" +
			"those of the catalogue, of the operator's vendors, and of rules.",
		Example: "  gracegate pac --proxy gw.example.org:3128 --direct intranet.example.org\n" +
			"  gracegate pac --proxy gw.example.org:3128 --only catalog --policy-file policy.yaml",
		Args: noArguments,
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupListen, config.GroupPolicy)
	f.StringVar(&address, "proxy", "", "the proxy as clients reach it, `host:port` (default the first of listen.proxy)")
	f.StringVar(&only, "only", "", "what goes through the proxy: `catalog`, the names that the policy knows (default everything)")
	f.StringArrayVar(&opts.Direct, "direct", nil, "reach this `name` and all below it directly; repeatable")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if only != "" && only != onlyCatalog {
			return invalid(fmt.Errorf("--only %q is no mode", only), "--only catalog, or leave it out for everything")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if address == "" && len(cfg.Listen.Proxy) > 0 {
			address = cfg.Listen.Proxy[0]
		}
		if _, err := divert.PAC(address, divert.Options{}); err != nil {
			return invalid(err, "--proxy names the gateway as clients reach it, such as gw.example.org:3128")
		}
		if only != "" {
			p, err := loadPolicy(cfg)
			if err != nil {
				return err
			}
			if opts.Only, err = pacNames(p); err != nil {
				return pacError(err)
			}
		}
		text, err := divert.PAC(address, opts)
		if err != nil {
			return pacError(err)
		}
		_, err = io.WriteString(cmd.OutOrStdout(), text)
		return failed(err, "")
	}
	return cmd
}

func pacError(err error) error {
	if errors.Is(err, divert.TooLargeError{}) {
		return invalid(err, "leave out --only catalog: the gateway passes what it does not know")
	}
	return invalid(err, "")
}
