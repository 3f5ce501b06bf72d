package orchestration_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A handler ends its process each time, among 700 honest tasks. It ends in error after ten
// losses, and none of the others does: what was beside it twice runs alone, and so it is
// found.
func TestStepThatEndsItsProcess(t *testing.T) {
	t.Parallel()
	const honest = 700
	url := pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := engineOn(t, pool, nil)
	_, err = pool.Exec(t.Context(), "create table ledger (task bigint, step text)")
	require.NoError(t, err)
	good := orchestration.Submission{Template: named(t, "honest", "a:", ""), Context: json.RawMessage(`{}`)}
	_, err = b.SubmitMany(t.Context(), many(honest/2, good))
	require.NoError(t, err)
	culprit := b.submit(t, named(t, "culprit", "crash:", ""), `{}`)
	_, err = b.SubmitMany(t.Context(), many(honest/2, good))
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { // as a supervisor does
		deaths := 0
		for ; ctx.Err() == nil; deaths++ {
			worker := exec.CommandContext(ctx, os.Args[0])
			worker.Env = append(os.Environ(), workerVariable+"="+url)
			_ = worker.Run() // it dies each time
		}
		ended <- deaths - 1
	}()
	b.waitForTasks(t, orchestration.TaskComplete, honest)
	b.waitForTasks(t, orchestration.TaskInError, 1)
	cancel()
	require.GreaterOrEqual(t, <-ended, 10)

	d, err := b.Task(t.Context(), culprit)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, 10, d.Steps[0].Attempts)
	require.Contains(t, d.Steps[0].Last().Err.Message, "likely cause")
	var most int
	require.NoError(t, pool.QueryRow(t.Context(), "select max(losses) from tasker.steps where task_id <> $1", culprit).Scan(&most))
	require.LessOrEqual(t, most, 2, "nothing ran beside it later")
}

// makeSuspect lets a step be one of whose process has died twice.
func (b *bundle) makeSuspect(t *testing.T, task int64, step string) {
	t.Helper()
	tag, err := b.pool.Exec(t.Context(), "update tasker.steps set crashes = 2 where task_id = $1 and name = $2", task, step)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
}

// A suspect waits for a step that runs for long: one of another task, or of its own. The
// other tasks go on meanwhile, and the suspect runs in the end.
func TestSuspectStopsOthersOnlyForAMoment(t *testing.T) {
	t.Parallel()
	for name, graph := range map[string]string{"beside its own task's step": "hold:\nsuspect:", "beside another task's": "suspect:"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hold := newGate()
			defer hold.open()
			quick := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { return nil, nil }
			b := engine(t, nil, onThreads(4, funcs{"Hold": hold.handle, "Suspect": quick, "A": quick}))
			b.SetSuspects(100*time.Millisecond, 300*time.Millisecond)
			holding := func() bool { return hold.running.Load() == 1 }
			b.work(t, orchestration.WorkerConfig{Names: []string{"hold", "quick"}})
			if graph == "suspect:" {
				b.submit(t, named(t, "hold", "hold:", ""), `{}`)
				require.Eventually(t, holding, patience, time.Millisecond)
			}
			id := b.submit(t, named(t, "suspect", graph, ""), `{}`)
			b.makeSuspect(t, id, "suspect")
			run := make(chan error, 1)
			go func() { // no worker: it cannot give the task back
				_, err := b.Run(t.Context(), id)
				run <- err
			}()
			require.Eventually(t, holding, patience, time.Millisecond)
			_, err := b.SubmitMany(t.Context(), many(20, orchestration.Submission{Template: named(t, "quick", "a:", ""), Context: json.RawMessage(`{}`)}))
			require.NoError(t, err)
			b.waitForTasks(t, orchestration.TaskComplete, 20)
			hold.open()
			require.NoError(t, <-run)
		})
	}
}

// A suspect waits for its turn, and a person cancels it. It must not hold its place in the line: nobody
// would be let in any more.
func TestSuspectThatIsCancelledLetsOthersIn(t *testing.T) {
	t.Parallel()
	hold := newGate()
	defer hold.open()
	quick := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { return nil, nil }
	b := engine(t, nil, onThreads(4, funcs{"Hold": hold.handle, "Suspect": quick, "Last": quick}))
	id := b.submit(t, named(t, "three", "hold:\nsuspect:\nlast:", ""), `{}`)
	b.makeSuspect(t, id, "suspect")
	run := make(chan error, 1)
	go func() { // no worker: it cannot give the task back
		_, err := b.Run(t.Context(), id)
		run <- err
	}()
	require.Eventually(t, func() bool { return hold.running.Load() == 1 }, patience, time.Millisecond)
	require.NoError(t, b.CancelStep(t.Context(), id, "suspect", orchestration.By{Actor: "ops", Reason: "a test"}))
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.ContainsFunc(b.events, func(e orchestration.Event) bool { return e.Kind == orchestration.EventStepCancelled })
	}, patience, time.Millisecond)
	hold.open()
	select {
	case err := <-run:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the last step was not let in")
	}
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.StepComplete, d.Steps[2].State)
}

// The other steps always take longer than a suspect waits at first. It waits longer each
// time, so it runs, and long before they all are done.
func TestSuspectAmongLongStepsRuns(t *testing.T) {
	t.Parallel()
	var b *bundle
	var began atomic.Int32
	var before int // steps that were done when it began
	b = engine(t, nil, onThreads(4, funcs{
		"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
			time.Sleep(80*time.Millisecond + time.Duration(began.Add(1)%7)*10*time.Millisecond)
			return nil, nil
		},
		"Suspect": func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
			return nil, b.pool.QueryRow(ctx, "select count(*) from tasker.steps where state = 'complete'").Scan(&before)
		},
	}))
	b.SetSuspects(5*time.Millisecond, 15*time.Millisecond)
	b.work(t, orchestration.WorkerConfig{Poll: 50 * time.Millisecond, Names: []string{"slow"}})
	const slow = 2000 // some fifty seconds of work, of which the test needs one
	_, err := b.SubmitMany(t.Context(), many(slow, orchestration.Submission{Template: named(t, "slow", "a:", ""), Context: json.RawMessage(`{}`)}))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return began.Load() >= 6 }, patience, time.Millisecond)
	id := b.submit(t, named(t, "suspect", "suspect:", ""), `{}`)
	b.makeSuspect(t, id, "suspect")
	_, err = b.Run(t.Context(), id)
	require.NoError(t, err)
	require.Less(t, before, slow*3/4)
}

// An engine whose last heartbeat was before the start of the server may have lost its
// session with the server. An engine that is new knows of no trouble, and yet blames nobody.
func TestServerThatHasStartedAnewMakesNoCrashes(t *testing.T) {
	t.Parallel()
	pool := database(t)
	_, err := pool.Exec(t.Context(), `
		insert into tasker.workers (number, host, pid, version, application_name, backend_pid, backend_start, started_at, heartbeat_at)
		select number, 'host', 1, 'v', '', 0, clock_timestamp(), clock_timestamp(), heartbeat
		from (values (1, pg_postmaster_start_time() - interval '1 ms'), (2, clock_timestamp())) v (number, heartbeat)`)
	require.NoError(t, err)
	b := engineOn(t, pool, nil)
	b.work(t, orchestration.WorkerConfig{Poll: 50 * time.Millisecond})
	var crashed []int64
	require.Eventually(t, func() bool {
		var left int
		require.NoError(t, pool.QueryRow(t.Context(), `select (select count(*) from tasker.workers where number in (1, 2)),
			array(select number from tasker.crashes)`).Scan(&left, &crashed))
		return left == 0
	}, patience, 5*time.Millisecond)
	require.Equal(t, []int64{2}, crashed)
}
