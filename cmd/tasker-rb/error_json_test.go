package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// With --output json an error is a document on standard output, and text on standard error.
func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml": one("Fine"), "handlers/fine.rb": fine,
		"bad.yaml":    "name: bad\nsteps_templates:\n  - name: a\nnamespace_name: 7\n",
		"schema.yaml": one("Fine") + "schema: {type: object, required: [order_id]}\n",
		"broken.yaml": one("Broken"), "broken/broken.rb": "class Broken\n  def process(\nend\n",
	})
	for _, c := range []struct {
		args, cause, hint string
		errors            int
	}{
		{"run missing.yaml --output json", "missing.yaml: ", "", 1},
		{"run bad.yaml --output=json", "bad.yaml:", "", 3},
		{"run schema.yaml --output json", "the context does not fit the template", "schema.yaml says what it must be", 1},
		{"run one.yaml --context nonsense --output json", "the context ", "--context takes a JSON object", 1},
		{"run broken.yaml --handlers broken --output json", "broken.rb:", "", 0},
		{"run --output json", "TEMPLATE is missing", "`tasker-rb run --help` shows how it is used.", 0},
		{"run one.yaml --output json --threads x", `--threads cannot be "x"`, "--help", 0},
		{"run one.yaml --output json --no-such-flag", "unknown flag: --no-such-flag", "--help", 0},
		{"tasks show 99 --output json", "task 99: there is no such task", "", 0},
		{"tasks list --output json --state odd", `there is no task state "odd"`, "The states are", 0},
		{"tasks retry 99 --output json", "task 99: there is no such task", "", 0},
		{"migrate down latest --output json", `"latest" is not a version`, "migrate status", 0},
		{"templates show missing.yaml --output json", "missing.yaml: ", "", 1},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			r := p.run(strings.Fields(c.args)...)
			require.Equal(t, exitBadInput, r.code, r.stderr)
			var d errorDocument
			decoder := json.NewDecoder(strings.NewReader(r.stdout))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(&d), r.stdout)
			require.False(t, decoder.More(), r.stdout)
			require.Contains(t, d.Error, c.cause)
			require.Contains(t, d.Hint, c.hint)
			require.Len(t, d.Errors, c.errors, r.stdout)
			require.NotContains(t, d.Error, "error: ")
			require.Contains(t, r.stderr, "error: ")
		})
	}
}

// The commands without --output print what is not theirs, or JSON in any case.
func TestEveryCommandHasOutput(t *testing.T) {
	t.Parallel()
	without := map[string]string{
		"tasker-rb console":      "what Ruby prints",
		"tasker-rb ruby":         "the program's own output",
		"tasker-rb test":         "the framework's own output",
		"tasker-rb worker":       "its log: --log json",
		"tasker-rb tasks export": "a JSON document",
		"tasker-rb man":          "files",
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() {
			return
		}
		if _, known := without[cmd.CommandPath()]; !known {
			require.NotNil(t, cmd.Flags().Lookup("output"), cmd.CommandPath())
		}
	}
	walk(newRoot())
}

func TestChangesOfOneTaskAsJSON(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": "class Fine\n  def process(*) = raise('no')\nend\n"})
	require.Equal(t, exitTaskFailed, p.run("run", "one.yaml").code)
	require.JSONEq(t, `{"task_id": 1, "step": "only", "retried": true}`, p.run("tasks", "retry", "1", "--step", "only", "--output", "json").stdout)
	require.JSONEq(t, `{"task_id": 1, "step": null, "cancelled": true}`, p.run("tasks", "cancel", "1", "--output", "json").stdout)
}
