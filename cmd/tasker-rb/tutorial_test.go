package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

// tutorialStep is a comment of docs/tutorial.md, with the block that follows it.
type tutorialStep struct{ kind, name, text string }

func tutorialSteps(t *testing.T) []tutorialStep {
	t.Helper()
	var steps []tutorialStep
	for _, m := range regexp.MustCompile("(?s)<!-- (\\w+)(?:: ([^>]+))? -->\n(?:```\\w*\n(.*?)```)?").FindAllStringSubmatch(readRepository(t, "docs/tutorial.md"), -1) {
		steps = append(steps, tutorialStep{m[1], m[2], m[3]})
	}
	require.Greater(t, len(steps), 25)
	return steps
}

// The tutorial works: its files are written, its commands are run in their order, and
// print what it shows. Only times, numbers drawn at random and the folder may differ.
func TestTheTutorial(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{".tasker-rb": ""})
	p.url = ""
	bin := t.TempDir()
	require.NoError(t, os.Symlink(binary, filepath.Join(bin, "tasker-rb")))
	p.env = []string{"XDG_STATE_HOME=" + enterable(t), "TMPDIR=" + enterable(t), "PATH=" + bin + ":" + os.Getenv("PATH")}
	var last result
	var again func() result
	for _, step := range tutorialSteps(t) {
		switch step.kind {
		case "file":
			p.write(map[string]string{step.name: step.text})
		case "run", "until":
			again = func() result { return p.shell(step.text) }
			last = again()
			require.Equal(t, cmp.Or(step.name, "code 0"), fmt.Sprint("code ", last.code), "%s\n%s%s", step.text, last.stdout, last.stderr)
			if step.kind == "run" {
				again = nil
			}
		case "output":
			if again != nil {
				require.Eventually(t, func() bool { last = again(); return p.plainOutput(last.stdout) == p.plainOutput(step.text) }, patience, 100*time.Millisecond, "%s", step.text)
			}
			require.Equal(t, p.plainOutput(step.text), p.plainOutput(last.stdout))
		case "errors":
			require.Equal(t, step.text, last.stderr)
		case "database":
			p.url = pgtest.URL(t)
		case "start":
			p.startWorker(t, strings.Fields(step.text)[1:])
		case "unit":
			requireWorkerFlags(t, strings.Fields(regexp.MustCompile(`(?m)^ExecStart=\S+ worker (.*)$`).FindStringSubmatch(step.text)[1]))
		case "container":
			var words []string
			require.NoError(t, json.Unmarshal([]byte(regexp.MustCompile(`(?m)^CMD (.*)$`).FindStringSubmatch(step.text)[1]), &words))
			require.Equal(t, []string{"tasker-rb", "worker"}, words[:2])
			requireWorkerFlags(t, words[2:])
		default:
			t.Errorf("the tutorial has a comment %s, which this test does not know", step.kind)
		}
	}
}

// shell runs the lines of a block.
func (p *project) shell(lines string) result {
	p.t.Helper()
	cmd := p.command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-e", "-c", lines}
	return p.finish(cmd)
}

// startWorker starts a worker that drains at the end of the test.
func (p *project) startWorker(t *testing.T, args []string) {
	t.Helper()
	cmd := p.command(args...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait() // a signal before it works ends it with another code
	})
}

func requireWorkerFlags(t *testing.T, args []string) {
	t.Helper()
	cmd := newWorker()
	require.NoError(t, cmd.ParseFlags(args))
	require.Empty(t, cmd.Flags().Args())
}

var (
	progressLine = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3} .*\n`)
	momentOrRate = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?|--seed \d+|\d+\.\d+ (runs|assertions)/s|\d+\.\d+s\b`)
)

// plainOutput leaves out what differs between two runs: the progress, times, seeds and
// the folder.
func (p *project) plainOutput(text string) string {
	text = strings.TrimLeft(progressLine.ReplaceAllString(text, ""), "\n")
	text = strings.ReplaceAll(text, p.realDir(), "/home/you/bookshop")
	return plainLabels(tookPattern.ReplaceAllString(momentOrRate.ReplaceAllString(text, "TIME"), "TIME"))
}

func (p *project) realDir() string {
	dir, err := filepath.EvalSymlinks(p.dir)
	require.NoError(p.t, err)
	return dir
}
