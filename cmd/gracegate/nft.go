package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/proxy/divert"
)

// usualTransparent is where the rules lead as long as listen.transparent is not set.
const usualTransparent = ":3129"

func newNFT() *cobra.Command {
	var rules divert.Rules
	var clients, destinations []string
	var remove bool
	cmd := &cobra.Command{
		Use:   "nft",
		Short: "Print the nftables rules that bring clients to a transparent listener",
		Long: "Print a ruleset for nft -f, in a table of its own, inet " + divert.NFTTable + ". What comes in on the interfaces of the inner side for\n" +
			"TCP 80 and 443 is redirected to listen.transparent, over IPv4 and IPv6. Private, link-local, loopback and multicast\n" +
			"destinations, the gateway's own addresses, and what the gateway itself sends are left alone. What would leave past\n" +
			"the gateway on these ports is refused. What is exempt is left alone, too, and never judged. Loading the rules again replaces\n" +
			"them; --remove prints what takes them out.",
		Example: "  gracegate nft --interface br-lan --block-quic --force-dns | nft -f -\n" +
			"  gracegate nft --remove | nft -f -",
		Args: noArguments,
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupListen)
	f.StringArrayVar(&rules.Interfaces, "interface", nil, "an interface of the inner side, by `name`; repeatable")
	f.StringArrayVar(&clients, "exempt-client", nil, "leave what this `address` or network sends alone; repeatable")
	f.StringArrayVar(&destinations, "exempt-destination", nil, "leave what goes to this `address` or network alone; repeatable")
	f.BoolVar(&rules.TPROXY, "tproxy", false, "hand packets over unchanged (TPROXY), instead of redirecting them; needs routes, which are printed as comments")
	f.BoolVar(&rules.BlockQUIC, "block-quic", false, "refuse UDP 80 and 443, so that clients fall back to TCP")
	f.BoolVar(&rules.ForceDNS, "force-dns", false, "refuse well-known public resolvers (DNS, DNS over TLS, QUIC and HTTPS)")
	f.BoolVar(&remove, "remove", false, "print what takes the rules out instead, whether or not they are there")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if remove {
			if len(rules.Interfaces)+len(clients)+len(destinations) > 0 || rules.TPROXY || rules.BlockQUIC || rules.ForceDNS {
				return invalid(errors.New("--remove takes out all of the rules"), "leave out what says how they are to be")
			}
			_, err := io.WriteString(cmd.OutOrStdout(), divert.RemoveNFT())
			return failed(err, "")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		addrs := cfg.Listen.Transparent
		if len(addrs) == 0 {
			addrs = []string{usualTransparent}
		}
		rules.IPv4, rules.IPv6 = divertTo(addrs, rules.TPROXY)
		wrong := errors.Join(readExempt("exempt-client", clients, &rules.Clients), readExempt("exempt-destination", destinations, &rules.Destinations))
		text, err := divert.NFT(rules)
		if err = errors.Join(wrong, err); err != nil {
			return nftError(err)
		}
		adviseNFT(cmd.ErrOrStderr(), cfg, &rules)
		_, err = io.WriteString(cmd.OutOrStdout(), text)
		return failed(err, "")
	}
	return cmd
}

// divertTo chooses, of the addresses of listen.transparent, where connections of either family are sent: to the first that they
// can reach, or else to the first there is.
func divertTo(addrs []string, tproxy bool) (ipv4, ipv6 netip.AddrPort) {
	var all []netip.AddrPort
	for _, a := range addrs {
		all = append(all, bound(a)...)
	}
	for _, at := range all {
		to := &ipv6
		if at.Addr().Is4() {
			to = &ipv4
		}
		if reached := at.Port() != 0 && at.Addr().Zone() == "" && (tproxy || !at.Addr().IsLoopback()); reached && !to.IsValid() {
			*to = at
		}
	}
	if !ipv4.IsValid() && !ipv6.IsValid() && len(all) > 0 {
		if all[0].Addr().Is4() {
			return all[0], ipv6
		}
		return ipv4, all[0]
	}
	return ipv4, ipv6
}

// bound is what is listened on for an address of the settings (see networkOf): for one that stands for every address, on both families.
func bound(listen string) []netip.AddrPort {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && addr == netip.IPv6Unspecified():
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)), netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port))}
	case host == "localhost":
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case err != nil:
		return nil
	}
	return []netip.AddrPort{netip.AddrPortFrom(addr, uint16(port))}
}

// readExempt reads what a flag leaves alone: an address stands for itself.
func readExempt(flag string, values []string, to *[]netip.Prefix) error {
	var wrong []error
	for _, text := range values {
		p, err := netip.ParsePrefix(text)
		if addr, notAddr := netip.ParseAddr(text); notAddr == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("--%s %q is neither an address nor a network", flag, text))
			continue
		}
		*to = append(*to, p)
	}
	return errors.Join(wrong...)
}

// nftError has every mistake with its remedy.
func nftError(err error) error {
	var problems policy.Problems
	for _, err := range unjoined(err) {
		hint := "name each interface of the inner side: --interface br-lan"
		if _, ok := errors.AsType[*divert.ListenerError](err); ok {
			hint = `listen.transparent: [":3129"] listens on every address; with --tproxy, loopback is enough`
		} else if _, ok := errors.AsType[*divert.ExemptError](err); ok || strings.HasPrefix(err.Error(), "--exempt") {
			hint = "an address such as 192.168.1.20, or a network such as 192.168.7.0/24 or 2001:db8:7::/48"
		}
		problems.Add(policy.Pos{}, hint, "%s", err)
	}
	return problems.Err()
}

// unjoined returns the errors that were joined, or the one that there is.
func unjoined(err error) (all []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, err := range joined.Unwrap() {
		all = append(all, unjoined(err)...)
	}
	return all
}

// adviseNFT tells what the rules need besides themselves.
func adviseNFT(w io.Writer, cfg *config.Config, rules *divert.Rules) {
	if len(cfg.Listen.Transparent) == 0 {
		_, _ = fmt.Fprintf(w, "hint: listen.transparent is not set; the rules lead to port 3129, where nothing listens without listen.transparent: [%q]\n", usualTransparent)
	}
	for family, listener := range map[string]netip.AddrPort{"IPv4": rules.IPv4, "IPv6": rules.IPv6} {
		if !listener.IsValid() {
			_, _ = fmt.Fprintf(w, "hint: listen.transparent has no address that %s can be sent to; its TCP 80 and 443 is refused, so that clients take the other family\n", family)
		}
	}
}
