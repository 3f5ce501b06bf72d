package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// binary is the path of the command. It is built once, and the tests run it like
// a user.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tasker-rb-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "tasker-rb")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// patience is the time limit of every command, and of every wait for a condition. All are
// expected to be much faster.
const patience = 5 * time.Minute

// otherTimes is the path of a command with other times. A sample of a worker's memory takes a
// fifth of a second instead of a minute, and dev waits for the end of a run as long as a test
// does. It is built once.
var otherTimes = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "other-times")
	out, err := exec.Command("go", "build", "-ldflags", "-X main.memoryWindow=200ms -X main.endPatience="+patience.String(), "-o", path, ".").CombinedOutput()
	return path, errors.Wrapf(err, "%s", out)
})

// project is a folder of templates and handlers, and a database.
type project struct {
	t       *testing.T
	dir     string
	url     string // of DATABASE_URL; empty for the private database
	env     []string
	program string // in the place of binary, if it is not empty
}

// newProject writes the files, keyed by their paths, and makes a migrated
// database.
func newProject(t *testing.T, files map[string]string) *project {
	t.Helper()
	p := &project{t: t, dir: t.TempDir(), url: pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))}
	p.write(files)
	return p
}

// write puts each file in its place at once: a command that watches must not read half of it.
func (p *project) write(files map[string]string) {
	p.t.Helper()
	for name, content := range files {
		path := filepath.Join(p.dir, name)
		require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
		whole := path + ".whole"
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			whole = path
		}
		require.NoError(p.t, os.WriteFile(whole, []byte(content), 0o644))
		require.NoError(p.t, os.Rename(whole, path))
	}
}

// result is the exit code and the output of a command.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the command in the project's folder, to its end.
func (p *project) run(args ...string) result {
	p.t.Helper()
	return p.finish(p.command(args...))
}

func (p *project) finish(cmd *exec.Cmd) result {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		require.NoError(p.t, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// follow is finish with a function that gets each line of standard output as it comes.
func (p *project) follow(cmd *exec.Cmd, line func(string)) result {
	p.t.Helper()
	var stdout, stderr strings.Builder
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		stdout.WriteString(lines.Text() + "\n")
		line(lines.Text())
	}
	_ = cmd.Wait() // ProcessState has it
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (p *project) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, cmp.Or(p.program, binary), args...)
	cmd.Dir = p.dir
	cmd.Env = append(plainEnvironment(), p.env...)
	if p.url != "" {
		cmd.Env = append(cmd.Env, "DATABASE_URL="+p.url)
	}
	return cmd
}

// plainEnvironment leaves out every variable that changes the command's behaviour
// or output.
func plainEnvironment() []string {
	var kept []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case name == databaseURL, name == sessionURL, name == "TASKER_PROJECT", name == "NO_COLOR", name == "TERM", name == "CI", strings.HasPrefix(name, "LC_"), name == "LANG":
		default:
			kept = append(kept, v)
		}
	}
	return append(kept, "LC_ALL=C.UTF-8", "TERM=xterm-256color")
}

// written counts the rows of tasks. It returns -1 if the tables do not exist.
func (p *project) written() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.url)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, conn.Close(ctx)) }()
	var there bool
	require.NoError(p.t, conn.QueryRow(ctx, "select to_regclass('tasker.tasks') is not null").Scan(&there))
	if !there {
		return -1
	}
	n := 0
	for _, table := range []string{"tasks", "steps", "queue", "task_history", "step_history"} {
		require.NoError(p.t, conn.QueryRow(ctx, "select to_regclass($1) is not null", "tasker."+table).Scan(&there))
		if !there { // at an older version
			continue
		}
		var rows int
		require.NoError(p.t, conn.QueryRow(ctx, "select count(*) from tasker."+table).Scan(&rows))
		n += rows
	}
	return n
}

// one returns a template with one step.
func one(class string) string {
	return "name: one\nstep_templates:\n  - {name: only, handler_class: " + class + ", default_retry_limit: 1}\n"
}

// fine is a handler that succeeds.
const fine = `
class Fine < Tasker::StepHandler::Base
  def process(_task, _sequence, _step) = { "ok" => true }
end
`
