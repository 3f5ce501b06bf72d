package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// No command ends well if its output is lost.
func TestAnOutputThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine, "broken/broken.yaml": "name: 7\n"})
	const lost = "error: standard output cannot be written: no space left on device\nhint: Send the output to another place. What the command has done remains.\n"
	for _, c := range []struct{ command, stderr string }{
		{"submit one.yaml", ""},
		{"submit one.yaml --count 3 --output json", ""},
		{"templates show one.yaml --output json", lost},
		{"templates lint one.yaml", lost},
		{"templates lint broken", lost},
		{"templates lint broken --output json", lost},
		{"doctor", lost},
		{"doctor --handlers handlers --output json", lost},
		{"migrate status", lost},
		{"tasks list", lost},
		{"tasks cancel --name other", lost},
		{"stats", lost},
		{"docs", lost},
		{"version", lost},
		{"help run", lost},
		{"--version", lost},
		{"completion bash", lost},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			r := p.runWithoutRoom(t, c.command)
			require.Equal(t, exitBadInput, r.code, r.stderr)
			if c.stderr != "" {
				require.Equal(t, c.stderr, r.stderr)
				return
			}
			what := `task \d was submitted, but its number`
			hint := "`tasker-rb tasks show \\d` shows it."
			if strings.Contains(c.command, "--count") {
				what, hint = `tasks \d to \d were submitted, but their numbers`, "`tasker-rb tasks list` shows them."
			}
			require.Regexp(t, "^error: "+what+` could not be written: `+syscall.ENOSPC.Error()+"\nhint: "+hint+"\n$", r.stderr)
		})
	}
}

// runWithoutRoom runs the command with an output that takes nothing.
func (p *project) runWithoutRoom(t *testing.T, command string) result {
	t.Helper()
	cmd := p.command(strings.Fields(command)...)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	var complaint strings.Builder
	cmd.Stdout, cmd.Stderr = full, &complaint
	require.Error(t, cmd.Run())
	require.NoError(t, full.Close())
	return result{code: cmd.ProcessState.ExitCode(), stderr: complaint.String()}
}
