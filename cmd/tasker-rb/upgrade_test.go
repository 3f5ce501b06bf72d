//go:build upgrade

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// upgradeFrom names the variable with the paths of binaries of versions before, as PATH
// has them.
const upgradeFrom = "TASKER_UPGRADE_FROM"

// upgradeFiles are a template of three steps that take their time and write, and their handlers.
var upgradeFiles = map[string]string{
	"count.yaml": `name: count
step_templates:
  - {name: a, handler_class: Count}
  - {name: b, handler_class: Count, depends_on_step: a}
  - {name: c, handler_class: Flaky, depends_on_step: a, backoff: {curve: none}}
  - {name: d, handler_class: Count, depends_on_steps: [b, c]}
`,
	"handlers/count.rb": `class Count < Tasker::StepHandler::Base
  def process(task, _sequence, step)
    Tasker.db.exec("insert into ledger (task, step) values ($1, $2)", [task.task_id, step.name])
    sleep 0.15
    nil
  end
end

class Flaky < Count
  def process(task, sequence, step)
    super
    tried = "tried-#{task.task_id}"
    return if File.exist?(tried)
    File.write(tried, "")
    raise "the first attempt fails"
  end
end
`,
}

// make test/upgrade builds the versions before. The database is migrated while a worker of such
// a version works. Then it works beside a new one, until it is stopped or killed. Every step is
// done once. A program that the new tables admit also submits.
func TestUpgradeWhileWorkersRun(t *testing.T) {
	t.Parallel()
	programs := filepath.SplitList(os.Getenv(upgradeFrom))
	require.NotEmpty(t, programs)
	for _, program := range programs {
		for _, fate := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			t.Run(filepath.Base(program)+", "+fate.String(), func(t *testing.T) {
				t.Parallel()
				checkUpgrade(t, program, fate)
			})
		}
	}
}

func checkUpgrade(t *testing.T, program string, fate syscall.Signal) {
	t.Helper()
	p := emptyProject(t)
	before := func(args ...string) *exec.Cmd {
		cmd := p.command(args...)
		cmd.Path = program
		return cmd
	}
	p.write(upgradeFiles)
	p.change("create table ledger (task bigint, step text, primary key (task, step))")
	ok := func(r result) {
		t.Helper()
		require.Zero(t, r.code, r.stderr)
	}
	ok(p.finish(before("migrate", "up")))
	own := p.count("select version from tasker.schema_version")
	const early, late = 120, 30
	ok(p.finish(before("submit", "count.yaml", "--count", fmt.Sprint(early))))
	ok(p.finish(before("submit", "count.yaml", "--run-at", "3s")))

	first := before("worker", "--handlers", "handlers", "--threads", "4")
	firstOut := &lockedBuffer{}
	first.Stdout, first.Stderr = firstOut, firstOut
	require.NoError(t, first.Start())
	until := func(what string, condition func() bool) {
		t.Helper()
		require.Eventually(t, condition, patience, 20*time.Millisecond, "%s\n%s", what, firstOut)
	}
	complete := func() int { return p.count("select count(*) from tasker.tasks where state = 'complete'") }
	until("the old worker has begun", func() bool {
		return complete() > 0 && p.count("select count(*) from tasker.steps where state = 'in_progress'") > 0
	})

	ok(p.run("migrate", "up"))
	const done = "select count(*) from tasker.attempts where outcome = 'complete'"
	admitted := p.count("select oldest from tasker.schema_support") <= own
	migrated := p.count(done)
	until("the old worker goes on", func() bool { return p.count(done) > migrated+4 })
	old := p.count("select number from tasker.workers")
	second, out := startWorker(t, p, "--threads", "4")
	ok(p.run("submit", "count.yaml", "--count", fmt.Sprint(late)))
	tasks := early + 1 + late
	if admitted {
		ok(p.finish(before("submit", "count.yaml")))
		tasks++
	} else {
		refused := p.finish(before("submit", "count.yaml"))
		require.Equal(t, 2, refused.code)
		require.Contains(t, refused.stderr, "the database's tables are newer than this program")
		require.Equal(t, tasks, p.count("select count(*) from tasker.tasks"), "it writes nothing")
	}
	until("both work", func() bool {
		ours := p.count(fmt.Sprintf(done+" and claimed_by <> %d", old)) // version 5 does not write its number
		return ours > 8 && p.count(done) > migrated+20+ours
	})

	require.NoError(t, first.Process.Signal(fate))
	err := first.Wait()
	if fate == syscall.SIGTERM {
		require.NoError(t, err, firstOut)
	}
	until("the new worker does the rest", func() bool { return complete() == tasks })
	require.NoError(t, second.Process.Signal(syscall.SIGTERM))
	require.NoError(t, second.Wait(), out)

	require.Equal(t, tasks, p.count("select count(*) from tasker.tasks"))
	require.Equal(t, 4*tasks, p.count("select count(*) from ledger"))
	require.Zero(t, p.count("select count(*) from tasker.queue"))
	require.Zero(t, p.count("select count(*) from tasker.workers"))
	require.Equal(t, 4*tasks, p.count("select count(*) from tasker.attempts where outcome = 'complete'"))
	require.Zero(t, p.count(`select count(*) from (
		select from_state, coalesce(lag(to_state) over (partition by step_id order by change), 'pending') as before from tasker.step_history) x
		where from_state <> before`), "the audit of steps has no gap")
	require.Zero(t, p.count(`select count(*) from (
		select from_state, lag(to_state) over (partition by task_id order by change) as before from tasker.task_history) x
		where from_state is distinct from before`), "the audit of tasks has no gap")
	for _, log := range []*lockedBuffer{firstOut, out} {
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "the first attempt fails") || !strings.Contains(strings.ToLower(line), "error") {
				continue
			}
			t.Errorf("a worker logged: %s", line)
		}
	}
}
