package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gracegate/gracegate/policy/bundle"
)

func newBundle() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Sign policy and catalogue in one file, and verify such a file",
		Long: "A bundle is one file with the operator's policy, the catalogue that it needs and its waivers, signed with a key of\n" +
			"minisign. Gateways take it from a file or an https:// URL (policy.bundle) if one of policy.keys has signed it, and\n" +
			"neither one that has expired nor one that is older than what they had.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return invalid(fmt.Errorf("bundle has no command %q", args[0]), "gracegate bundle --help lists them")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleKeygen(), newBundleSign(), newBundleVerify())
	return cmd
}

// Where keys are, unless flags say otherwise.
const secretKeyFile, publicKeyFile = "bundle.key", "bundle.pub"

func newBundleKeygen() *cobra.Command {
	var secret, public string
	var without bool
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make the pair of keys that signs and verifies bundles",
		Long: "Make a pair of keys as minisign has them: the secret one signs bundles, under a password, and the public one, which\n" +
			"policy.keys names, verifies them. Nothing is overwritten. The password is asked for on the terminal, or else is the\n" +
			"first line of standard input.",
		Args: noArguments,
	}
	cmd.Flags().StringVar(&secret, "key", secretKeyFile, "the `file` of the secret key")
	cmd.Flags().StringVar(&public, "public", publicKeyFile, "the `file` of the public key")
	cmd.Flags().BoolVar(&without, "no-password", false, "do not encrypt the secret key: whoever can read its file can sign")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, name := range []string{secret, public} {
			if _, err := os.Lstat(name); err == nil {
				return keyIsThere(name)
			}
		}
		password := ""
		if !without {
			var err error
			if password, err = newPassword(cmd); err != nil {
				return err
			}
		}
		key, err := bundle.NewSecretKey()
		if err != nil {
			return failed(err, "")
		}
		text, err := key.File(password)
		if err == nil {
			err = writeNewFile(secret, text, 0o600)
		}
		if err != nil {
			return err
		}
		if err := writeNewFile(public, key.Public().File(), 0o644); err != nil {
			_ = os.Remove(secret) // half a pair is none
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "secret key  %s, for who signs alone\npublic key  %s, for policy.keys of every gateway:\n%s\n", secret, public, key.Public())
		return failed(err, "")
	}
	return cmd
}

func keyIsThere(name string) error {
	return invalid(fmt.Errorf("%s is there already, and a key is not overwritten", name), "name other files with --key and --public")
}

// writeNewFile writes a file that must not be there yet.
func writeNewFile(name string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return keyIsThere(name)
	}
	if err != nil {
		return failed(err, "name a file in a directory that may be written")
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(name)
	}
	return failed(err, "")
}

// newPassword asks for a password that is to be.
func newPassword(cmd *cobra.Command) (string, error) {
	first, typed, err := askPassword(cmd, "Password for the secret key: ")
	switch {
	case err != nil:
		return "", err
	case first == "":
		return "", invalid(errors.New("an empty password protects nothing"), "--no-password makes a key without one")
	case !typed:
		return first, nil
	}
	again, _, err := askPassword(cmd, "The same again: ")
	if err == nil && again != first {
		err = invalid(errors.New("that was another password"), "run the command again")
	}
	return first, err
}

// askPassword asks on the terminal, or takes the first line of standard input where that is none.
func askPassword(cmd *cobra.Command, prompt string) (password string, typed bool, err error) {
	const hint = "give the password on a terminal, or as the first line of standard input"
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		_, _ = fmt.Fprint(cmd.ErrOrStderr(), prompt)
		text, err := term.ReadPassword(int(f.Fd()))
		_, _ = fmt.Fprintln(cmd.ErrOrStderr())
		return string(text), true, failed(err, hint)
	}
	line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 4<<10)).ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return "", false, invalid(errors.New("no password was given"), hint)
	}
	return strings.TrimRight(line, "\r\n"), false, nil
}

// readSecretKey reads the file of a secret key, which only its owner may.
func readSecretKey(cmd *cobra.Command, name string) (*bundle.SecretKey, error) {
	const hint = "gracegate bundle keygen makes one; --key names its file"
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, invalid(fmt.Errorf("the secret key: %s: %w", name, cause(err)), hint)
	case !info.Mode().IsRegular():
		return nil, invalid(fmt.Errorf("the secret key: %s is not a regular file", name), hint)
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows": // where modes say nothing
		return nil, invalid(fmt.Errorf("the secret key: %s can be used by others: its mode is %04o", name, info.Mode().Perm()), "chmod 600 it")
	}
	file, err := readPolicyFile(name)
	if err != nil {
		return nil, invalid(fmt.Errorf("the secret key: %s: %w", name, cause(err)), hint)
	}
	key, err := bundle.ParseSecretKey(file.Data, func() (string, error) {
		password, _, err := askPassword(cmd, "Password of "+name+": ")
		return password, err
	})
	if _, coded := errors.AsType[*codedError](err); err == nil || coded {
		return key, err
	}
	if errors.Is(err, bundle.ErrPassword) {
		return nil, invalid(fmt.Errorf("the secret key: %s: %w", name, err), "run the command again")
	}
	return nil, invalid(fmt.Errorf("the secret key: %s: %w", name, err), hint)
}
