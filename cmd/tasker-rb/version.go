package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// programVersion is what the build says of itself.
type programVersion struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`   // empty if the build did not see git
	Modified bool   `json:"modified"` // with changes that were not committed
}

func version() programVersion {
	v := programVersion{Version: "development"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v programVersion) String() string {
	if v.Commit == "" {
		return v.Version
	}
	changed := ""
	if v.Modified {
		changed = ", with changes"
	}
	return fmt.Sprintf("%s (commit %.12s%s)", v.Version, v.Commit, changed)
}

// everyVersion is what a report of a fault needs. What is missing is empty.
type everyVersion struct {
	programVersion
	Go         string `json:"go"`
	Ruby       string `json:"ruby"`
	PostgreSQL string `json:"postgresql"` // the one of the private database
}

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "version", Short: "Print the versions of the program, Go, Ruby and PostgreSQL", Args: exactly(),
		Example: `  tasker-rb version
  tasker-rb version --output json`,
		PreRunE: func(cmd *cobra.Command, _ []string) error { return documentApart(cmd) }, // RUBYOPT may load anything
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			v := everyVersion{programVersion: version(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
			v.Ruby = rubyVersion(cmd.Context())
			if in, err := localpg.Choose(cmd.Context(), localpg.Options{}); err == nil {
				v.PostgreSQL = in.Version
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), v)
			}
			return v.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

func (v everyVersion) print(out io.Writer) error {
	const missing = "none (tasker-rb doctor says what to do)"
	for _, line := range [][2]string{
		{"tasker-rb", v.String()}, {"Go", v.Go}, {"Ruby", cmp.Or(v.Ruby, missing)}, {"PostgreSQL", cmp.Or(v.PostgreSQL, missing)},
	} {
		if _, err := fmt.Fprintf(out, "%-10s  %s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	return nil
}

// rubyVersion asks the Ruby that handlers run in; empty if it does not boot.
func rubyVersion(ctx context.Context) string {
	host, err := rubyhost.Boot(rubyhost.Options{Threads: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return ""
	}
	defer func() { _ = host.Close() }()
	stats, err := host.GCStats(ctx)
	if err != nil {
		return ""
	}
	return stats.RubyVersion
}
