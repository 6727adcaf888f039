package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// stamped is set by the linker for releases: -ldflags "-X main.stamped=v1.2.3".
var stamped string

// version is what this program calls itself.
func version() string {
	if stamped != "" {
		return stamped
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "gracegate", version())
			return failed(err, "")
		},
	}
}
