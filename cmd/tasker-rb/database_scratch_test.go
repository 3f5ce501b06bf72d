package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Who asks for a database that is deleted afterwards does not write into that of DATABASE_URL.
func TestScratchIsRefusedWithAnAddress(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	p.env = []string{"XDG_STATE_HOME=" + enterable(t), "TMPDIR=" + enterable(t)}
	causes := []string{"--scratch is for a database that is deleted afterwards, and DATABASE_URL names one that is kept"}
	for _, args := range [][]string{
		{"run", "one.yaml"}, {"run", "one.yaml", "--output", "json"}, {"run", "--from", "task.json"}, {"ruby", "-e", "p Tasker.db.first('SELECT 1')"}, {"console"},
	} {
		// --scratch is before the code of ruby, which has the rest of the line
		args = append([]string{args[0], "--scratch"}, args[1:]...)
		requireRefused(t, p.run(args...), causes, "Write `env -u DATABASE_URL` before the command, or leave --scratch out.")
	}
	require.Zero(t, p.written())
	requireRefused(t, p.run("run", "--task", "1", "--scratch"), []string{"--scratch cannot be given with --task"}, "Leave --scratch out.")

	both := *p
	both.env = append(both.env, "TASKER_SESSION_URL="+p.url)
	requireRefused(t, both.run("run", "one.yaml", "--scratch"), causes, "`env -u DATABASE_URL -u TASKER_SESSION_URL`")
}
