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
		"schema.yaml": one("Fine") + "schema: {type: object, required: [order_id], properties: {n: {type: integer}}}\n",
		"two.json":    `{"n": "x"}`,
		"broken.yaml": one("Broken"), "broken/broken.rb": "class Broken\n  def process(\nend\n",
	})
	for _, c := range []struct {
		args, cause, hint string
		errors            int
	}{
		{"run missing.yaml --output json", "missing.yaml: ", "", 1},
		{"run bad.yaml --output=json", "bad.yaml:", "", 3},
		{"run schema.yaml --output json", "the context does not fit the template", "schema.yaml says what it must be", 1},
		{"run schema.yaml --output json --context @two.json", "the context in two.json does not fit the template default/one 0.1.0: context.", "schema.yaml says", 2},
		{"run one.yaml --context nonsense --output json", "the context ", "--context takes a JSON object", 1},
		{"run broken.yaml --handlers broken --output json", "broken.rb:", "", 1},
		{"run --output json", "TEMPLATE is missing", "`tasker-rb run --help` shows how it is used.", 0},
		{"run one.yaml --output json --threads x", `--threads cannot be "x"`, "--help", 0},
		{"run one.yaml --output json --no-such-flag", "unknown flag: --no-such-flag", "--help", 0},
		{"tasks show 99 --output json", "task 99: there is no such task", "", 0},
		{"tasks list --output json --state odd", `there is no task state "odd"`, "The states are", 0},
		{"tasks retry 99 --output json", "task 99: there is no such task", "", 0},
		{"migrate down latest --output json", `"latest" is not a version`, "migrate status", 0},
		{"bogus --output json", `tasker-rb has no command "bogus"`, "`tasker-rb --help`", 0},
		{"tasks lst --output=json", `tasker-rb tasks has no command "lst"`, "Did you mean list?", 0},
		{"tasks export 99 --output json", "task 99: there is no such task", "", 0},
		{"tasks export 99 --spec --output json", "--output json needs FILE", "Name a FILE", 0},
		{"test --output json", "there is no folder spec or test here", "tasker-rb test PATH", 0},
		{"test spec/nothing_spec.rb --output json", "there is no file or folder spec/nothing_spec.rb", "Name files", 0},
		{"man /dev/null/man --output json", "not a directory", "Name a folder", 0},
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
			if c.errors > 0 { // they are those of the first fault, with its place
				require.Equal(t, d.Hint, d.Errors[0].Hint)
				require.NotEmpty(t, d.Hint)
				require.True(t, strings.HasSuffix(d.Error, d.Errors[0].Message), r.stdout)
			}
			require.Contains(t, r.stderr, "error: ")
		})
	}
}

// The commands without --output print what is not theirs. Every other one makes a document
// of an error, also of one about its flags.
func TestEveryCommandHasOutput(t *testing.T) {
	t.Parallel()
	without := map[string]string{
		"tasker-rb console": "what Ruby prints",
		"tasker-rb ruby":    "the program's own output",
		"tasker-rb worker":  "its log: --log json",
	}
	p := &project{t: t, dir: t.TempDir()}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() {
			return
		}
		if _, known := without[cmd.CommandPath()]; known {
			return
		}
		require.NotNil(t, cmd.Flags().Lookup("output"), cmd.CommandPath())
		r := p.run(append(strings.Fields(cmd.CommandPath())[1:], "--no-such-flag", "--output", "json")...)
		require.Equal(t, exitBadInput, r.code, cmd.CommandPath())
		hint := "`" + cmd.CommandPath() + " --help` shows how it is used."
		if cmd.Name() == "test" {
			hint = "If it is an option of RSpec or minitest, write it after --, as in `tasker-rb test -- --no-such-flag`."
		}
		require.JSONEq(t, `{"error": "unknown flag: --no-such-flag", "hint": "`+hint+`", "errors": []}`, r.stdout)
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
