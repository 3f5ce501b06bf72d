package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The command that a failed run prints works as it is pasted: with the code of that run, and
// not with that of an unrelated folder.
func TestTheNextCommandHasTheCodeOfTheRun(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"my shop/order.yaml": threeSteps, "my shop/handlers/order.rb": threeHandlers,
		"split/app/order.rb": strings.Split(threeHandlers, "class Charge")[0], "split/lib/charge.rb": "class Charge" + strings.Split(threeHandlers, "class Charge")[1],
		"handlers/other.rb": "class Reserve\n  def process(*) = raise('this is another project')\nend\n",
	})
	p.env = []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")}
	next := func(args ...string) string {
		t.Helper()
		failed := p.run(args...)
		require.Equal(t, exitTaskFailed, failed.code, failed.stderr)
		m := regexp.MustCompile(`\n  (tasker-rb run --task .*?)  +retry the failed steps here\n`).FindStringSubmatch(failed.stdout)
		require.NotNil(t, m, failed.stdout)
		return m[1]
	}
	command := next("run", "my shop/order.yaml")
	require.Equal(t, `tasker-rb run --task 1 --handlers 'my shop/handlers'`, command)
	again := next("run", "--task", "1", "--handlers", "my shop/handlers")
	require.Equal(t, command, again)
	long := next("run", "my shop/order.yaml", "--handlers", "split/app", "-I", "split/lib", "--require", "charge", "--threads=1")
	require.Equal(t, `tasker-rb run --task 2 --handlers split/app --require charge --load-path split/lib --threads 1`, long)
	p.write(map[string]string{"open": ""})
	for _, c := range []string{command, long} {
		pasted := p.command()
		pasted.Path, pasted.Args = "/bin/sh", []string{"sh", "-c", c}
		done := p.finish(pasted)
		require.Zero(t, done.code, done.stdout+done.stderr)
	}
}

// What is done with an exported task says which folders it needs, if they are not here.
func TestTheCommandForAnExportSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"shop/order.yaml": threeSteps, "shop/handlers/order.rb": threeHandlers, "open": ""})
	require.Zero(t, p.run("run", "shop/order.yaml").code)

	require.Equal(t, "task.json has task 1; repeat it with `tasker-rb run --from task.json --handlers DIR`, where DIR has its handlers\n",
		p.run("tasks", "export", "1", "task.json").stdout)
	require.Equal(t, "shop/a b.json has task 1; repeat it with `tasker-rb run --from 'shop/a b.json'`\n", p.run("tasks", "export", "1", "shop/a b.json").stdout)
	require.Equal(t, "order_spec.rb repeats task 1; run it with `tasker-rb test order_spec.rb --templates DIR`, where DIR has the template default/order 0.1.0\n",
		p.run("tasks", "export", "1", "--spec", "order_spec.rb").stdout)
	p.write(map[string]string{"order.yaml": threeSteps})
	require.Equal(t, "two_spec.rb repeats task 1; run it with `tasker-rb test two_spec.rb --handlers DIR`, where DIR has its handlers\n",
		p.run("tasks", "export", "1", "--spec", "two_spec.rb").stdout)
	shop := *p
	shop.dir = filepath.Join(p.dir, "shop")
	require.Equal(t, "three_spec.rb repeats task 1; run it with `tasker-rb test three_spec.rb`\n", shop.run("tasks", "export", "1", "--spec", "three_spec.rb").stdout)
}

// What the run of a cancelled task names is not refused.
func TestTheNextCommandsOfACancelledTask(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"long.yaml": one("Long"), "handlers/long.rb": long})
	cancelled := p.follow(p.command("run", "long.yaml"), func(line string) {
		if line == "only | in the middle" {
			require.Zero(t, p.run("tasks", "cancel", "1").code)
		}
	})
	require.Equal(t, exitTaskFailed, cancelled.code, cancelled.stderr)
	require.Regexp(t, `\nnext\n  tasker-rb tasks show 1 +what has happened; a cancelled task stays cancelled, so submit it anew\n\n0 of 1 step done, in \S+\n$`, cancelled.stdout)
}

func TestTheNextCommandsOfEachState(t *testing.T) {
	t.Parallel()
	for state, wanted := range map[orchestration.TaskState][]string{
		orchestration.TaskInError:          {"tasker-rb tasks show 7", "tasker-rb run --task 7 --threads 2", "tasker-rb tasks retry 7"},
		orchestration.TaskCancelled:        {"tasker-rb tasks show 7"},
		orchestration.TaskResolvedManually: {"tasker-rb tasks show 7"},
		orchestration.TaskPending:          {"tasker-rb tasks show 7", "tasker-rb run --task 7 --threads 2"},
		orchestration.TaskInProgress:       {"tasker-rb tasks show 7", "tasker-rb run --task 7 --threads 2"},
	} {
		task := &orchestration.TaskDetail{}
		task.TaskID, task.State = 7, state
		var commands []string
		for _, c := range nextCommands(task, " --threads 2") {
			commands = append(commands, c[0])
		}
		require.Equal(t, wanted, commands, state)
	}
}

// What an interrupted run names has the code of that run, and works as it is pasted.
func TestTheCommandsAfterAnInterruption(t *testing.T) {
	t.Parallel()
	handler := strings.Replace(long, "    sleep\n", "    sleep unless File.exist?('open')\n", 1)
	p := newProject(t, map[string]string{"long.yaml": one("Long"), "handlers/fine.rb": fine, "my lib/long.rb": handler})
	p.env = []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")}
	code, _, stderr := interrupt(p, syscall.SIGINT, "--require", "./my lib/long.rb", "--threads", "2")
	require.Equal(t, exitInterrupted, code, stderr)
	require.Contains(t, stderr, "a `tasker-rb worker --handlers handlers --require './my lib/long.rb' --threads 2` does so")
	here := regexp.MustCompile("`(tasker-rb run --task [^`]*)`").FindStringSubmatch(stderr)
	require.NotNil(t, here, stderr)
	require.Equal(t, "tasker-rb run --task 1 --require './my lib/long.rb' --threads 2", here[1])
	p.write(map[string]string{"open": ""})
	pasted := p.command()
	pasted.Path, pasted.Args = "/bin/sh", []string{"sh", "-c", here[1]}
	done := p.finish(pasted)
	require.Zero(t, done.code, done.stdout+done.stderr)
}

// The time of the last line is that of the run, and not the age of the task.
func TestTheTimeOfARunThatGoesOn(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"order.yaml": threeSteps, "handlers/order.rb": threeHandlers})
	require.Equal(t, exitTaskFailed, p.run("run", "order.yaml").code)
	p.sql("update tasker.tasks set created_at = created_at - interval '3 hours' returning 1")
	p.write(map[string]string{"open": ""})
	done := p.run("run", "--task", "1")
	require.Zero(t, done.code, done.stderr)
	require.Regexp(t, `\n3 of 3 steps done(, .*)?, in (\d+m)?[\d.]+m?s\n$`, done.stdout)
}
