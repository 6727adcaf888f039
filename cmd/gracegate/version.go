package main

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/policy/catalog"
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

// aheadOfUTC is how much earlier than in UTC a day begins where it begins first.
const aheadOfUTC = 14 * time.Hour

// builtOn is an instant before which this program cannot have run: that of the commit that it was built from, where it knows that, or of the
// day of the newest fact in its catalogue.
func builtOn() (time.Time, error) {
	checked, err := catalog.Checked()
	if err != nil {
		return time.Time{}, err
	}
	built := checked.Add(-aheadOfUTC)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return built, nil
	}
	for _, s := range info.Settings {
		if committed, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil && committed.After(built) {
			built = committed
		}
	}
	return built, nil
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
