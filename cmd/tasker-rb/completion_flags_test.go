package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// The shell offers the values that a usage lists, and files only for flags that take one.
func TestEveryFlagIsCompleted(t *testing.T) {
	t.Parallel()
	enumerated := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			value, usage := pflag.UnquoteUsage(f)
			if f.Value.Type() == "bool" || value == "FILE" || value == "FEATURE" || f.Name == "templates" && value == "PATH" {
				return
			}
			at := cmd.CommandPath() + " --" + f.Name
			complete, there := cmd.GetFlagCompletionFunc(f.Name)
			require.True(t, there, at)
			words, directive := complete(cmd, nil, "")
			if value == "DIR" || strings.HasSuffix(value, "FOLDER") {
				require.Equal(t, cobra.ShellCompDirectiveFilterDirs, directive, at)
				return
			}
			require.NotZero(t, directive&cobra.ShellCompDirectiveNoFileComp, at)
			listed := regexp.MustCompile(`\b` + regexp.QuoteMeta(value) + `: ([a-z_]+(?:, [a-z_]+)*),? or ([a-z_]+)`).FindStringSubmatch(usage)
			if value == "" || listed == nil {
				return
			}
			enumerated++
			require.ElementsMatch(t, append(strings.Split(listed[1], ", "), listed[2]), words, at)
		})
	}
	walk(newRoot())
	require.Greater(t, enumerated, 20)
}

// A suite is of files of Ruby, and of folders; a template is YAML.
func TestTheFilesOfAnArgument(t *testing.T) {
	t.Parallel()
	for command, extensions := range map[string][]string{"test": {"rb"}, "run": {"yaml", "yml"}, "soak": {"yaml", "yml"}} {
		cmd, _, err := newRoot().Find([]string{command})
		require.NoError(t, err)
		words, directive := cmd.ValidArgsFunction(cmd, nil, "")
		require.Equal(t, extensions, words, command)
		require.Equal(t, cobra.ShellCompDirectiveFilterFileExt, directive, command)
	}
}
