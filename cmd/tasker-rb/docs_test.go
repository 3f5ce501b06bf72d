package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func readDocs(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/cli.md")
	require.NoError(t, err)
	return string(b)
}

// docs/cli.md has a section for each command. Its table has one row for each
// flag, with the words of --help.
func TestTheDocsHaveEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	sections := map[string]string{}
	for section := range strings.SplitSeq(readDocs(t), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	var documented int
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() {
			return
		}
		title := "`" + cmd.UseLine() + "`"
		title = strings.Replace(title, " [flags]", "", 1)
		require.Contains(t, sections, title)
		body := sections[title]
		require.Contains(t, body, cmd.Short)
		var rows []string
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				rows = append(rows, row(f))
			}
		})
		require.Equal(t, rows, regexp.MustCompile("(?m)^\\| `-.*$").FindAllString(body, -1), title)
		for line := range strings.Lines(cmd.Example) {
			require.Contains(t, body, strings.TrimSpace(line))
		}
		documented++
	}
	walk(newRoot())
	require.Equal(t, documented, strings.Count(readDocs(t), "\n## `tasker-rb "), "a section is of no command")
}

func row(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	fallback := ""
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
		fallback = "`" + f.DefValue + "`"
	}
	return strings.ReplaceAll(fmt.Sprintf("| `%s` | %s | %s |", strings.TrimSpace(name+" "+value), fallback, usage), "|  |", "| |")
}

// The JSON in the docs has the form that the command prints.
func TestTheDocsHaveTheJSON(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(readDocs(t))
	require.NotNil(t, block)
	decoder := json.NewDecoder(strings.NewReader(block[1]))
	decoder.DisallowUnknownFields()
	var task taskJSON
	require.NoError(t, decoder.Decode(&task))
	var again bytes.Buffer
	encoder := json.NewEncoder(&again)
	encoder.SetIndent("", "  ")
	require.NoError(t, encoder.Encode(task))
	require.Equal(t, block[1], again.String())
}

func TestTheDocsHaveTheExitCodes(t *testing.T) {
	t.Parallel()
	var codes []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(readDocs(t), -1) {
		codes = append(codes, m[1])
	}
	require.Equal(t, []string{fmt.Sprint(exitOK), fmt.Sprint(exitTaskFailed), fmt.Sprint(exitBadInput), fmt.Sprint(exitUndecided), fmt.Sprint(exitMemory), fmt.Sprint(exitInterrupted),
		fmt.Sprint(128 + int(syscall.SIGTERM))}, codes)
}
