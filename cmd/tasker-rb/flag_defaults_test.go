package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// A default that --help names is one that the command has.
func TestDefaultsOfFlags(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			require.NotEqual(t, "0s", f.DefValue, "%s --%s is off unless it is given", cmd.CommandPath(), f.Name)
			if strings.Contains(f.Usage, "beside the template") {
				named := strings.Contains(strings.ToUpper(cmd.Use), "TEMPLATE") || cmd.Flags().Lookup("template") != nil || cmd.Flags().Lookup("templates") != nil
				require.True(t, named, "%s --%s: it is given no template", cmd.CommandPath(), f.Name)
				require.NotEqual(t, "worker", cmd.Name(), "a worker needs --handlers")
			}
		})
	}
	walk(newRoot())
}

func TestTimesAsDefaults(t *testing.T) {
	t.Parallel()
	for span, text := range map[time.Duration]string{0: "", time.Second: "1s", time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m", 61 * time.Second: "1m1s", 20 * time.Hour: "20h"} {
		s := timeSpan(span)
		require.Equal(t, text, s.String())
	}
}
