package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

func connection(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// Every migration can be undone and repeated, also with tasks in the tables.
func TestMigrateDownAndUp(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Bad": failing})
	b.run(t, template(t, "a:\nbad: a", "default_retry_limit: 2"))
	cancelled := b.submit(t, template(t, "a:", ""), "{}")
	require.NoError(t, b.CancelTask(t.Context(), cancelled, ops))
	require.NoError(t, b.Close())
	conn, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	s, err := orchestration.ReadSchema(t.Context(), conn.Conn())
	require.NoError(t, err)
	require.True(t, s.Current())
	for version := s.Latest - 1; version >= 0; version-- {
		require.NoError(t, orchestration.MigrateDown(t.Context(), conn.Conn(), version), version)
		require.ErrorIs(t, orchestration.CheckSchema(t.Context(), conn.Conn()), orchestration.ErrSchemaOlder)
		require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()), version)
		require.NoError(t, orchestration.MigrateDown(t.Context(), conn.Conn(), version), version)
	}
	require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()))
	require.NoError(t, orchestration.CheckSchema(t.Context(), conn.Conn()))
}

// A task that is submitted in the last moment is counted.
func TestMigrateDownAsksWithTheTasksLocked(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	tpl := template(t, "a:", "")
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = b.SubmitTx(t.Context(), tx, orchestration.Submission{Template: tpl})
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), b.pool.Config().ConnString())
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	ended, unwilling := make(chan error, 1), errors.New("there is a task")
	go func() {
		ended <- orchestration.MigrateDownIf(t.Context(), conn, 0, func(c orchestration.Contents) error {
			if c.Tasks > 0 {
				return unwilling
			}
			return nil
		})
	}()
	require.NoError(t, untilTasksAreWaitedFor(t.Context(), b.pool))
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, unwilling, <-ended)
	require.NoError(t, orchestration.CheckSchema(t.Context(), conn), "nothing is undone")
	require.NoError(t, orchestration.MigrateDownIf(t.Context(), conn, 8, func(orchestration.Contents) error { return nil }), "the lock is free")
}

// A transaction of a worker and the migration wait for each other. The migration gives way,
// and is tried again.
func TestMigrateDownGivesWay(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "set local deadlock_timeout = '10min'; lock table tasker.annotation_types in access share mode")
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), b.pool.Config().ConnString())
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), "set deadlock_timeout = '10ms'")
	require.NoError(t, err)

	worker, asked := make(chan error, 1), 0
	require.NoError(t, orchestration.MigrateDownIf(t.Context(), conn, 0, func(orchestration.Contents) error {
		if asked++; asked > 1 {
			return nil
		}
		go func() {
			_, err := tx.Exec(t.Context(), "lock table tasker.tasks in access share mode")
			worker <- errors.CombineErrors(err, tx.Commit(t.Context()))
		}()
		return untilTasksAreWaitedFor(t.Context(), b.pool)
	}))
	require.NoError(t, <-worker)
	s, err := orchestration.ReadSchema(t.Context(), conn)
	require.NoError(t, err)
	require.Zero(t, s.Version)
	require.EqualValues(t, s.Latest+1, asked, "each migration once, and the one that gave way again")
}

func untilTasksAreWaitedFor(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		var waited bool
		err := pool.QueryRow(ctx, "select exists (select from pg_locks where relation = 'tasker.tasks'::regclass and not granted)").Scan(&waited)
		if err != nil || waited {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// Otherwise a handler's table "steps" would be the engine's.
func TestSearchPathWithTheEnginesSchemaFirst(t *testing.T) {
	t.Parallel()
	conn := connection(t)
	require.NoError(t, orchestration.Migrate(t.Context(), conn))
	require.NoError(t, orchestration.CheckSchema(t.Context(), conn))
	for path, refused := range map[string]bool{"public, tasker": false, "pg_catalog, public": false, "tasker": true, "nowhere, tasker, public": true} {
		_, err := conn.Exec(t.Context(), "set search_path to "+path)
		require.NoError(t, err)
		err = orchestration.CheckSchema(t.Context(), conn)
		if !refused {
			require.NoError(t, err, path)
			continue
		}
		require.ErrorIs(t, err, orchestration.ErrSearchPath, path)
		require.Contains(t, errors.FlattenHints(err), "search_path=public")
	}
}

func TestConcurrentMigrations(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	ended := make(chan error, 6)
	for range cap(ended) {
		go func() {
			conn, err := pgx.Connect(t.Context(), url)
			if err == nil {
				err = orchestration.Migrate(t.Context(), conn)
				_ = conn.Close(t.Context())
			}
			ended <- err
		}()
	}
	for range cap(ended) {
		require.NoError(t, <-ended)
	}
}

// A later version says whether this program may work on its tables.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	conn, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	own, err := orchestration.ReadSchema(t.Context(), conn.Conn())
	require.NoError(t, err)
	require.Equal(t, own.Latest, own.Version)
	require.LessOrEqual(t, own.Oldest, own.Version)
	later := func(oldest int32) {
		_, err := conn.Exec(t.Context(), "update tasker.schema_version set version = 99")
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "update tasker.schema_support set oldest = $1", oldest)
		require.NoError(t, err)
	}

	later(own.Latest)
	require.NoError(t, orchestration.CheckSchema(t.Context(), conn.Conn()))
	require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()), "there is nothing to do")
	s, err := orchestration.ReadSchema(t.Context(), conn.Conn())
	require.NoError(t, err)
	require.Equal(t, orchestration.Schema{Version: 99, Latest: own.Latest, Oldest: own.Latest}, s)
	require.ErrorIs(t, orchestration.MigrateDown(t.Context(), conn.Conn(), 1), orchestration.ErrSchemaNewer)
	other := engineOn(t, b.pool, nil)
	require.Equal(t, orchestration.TaskComplete, other.run(t, template(t, diamond, "")).State)

	later(own.Latest + 1)
	for _, err := range []error{orchestration.CheckSchema(t.Context(), conn.Conn()), orchestration.Migrate(t.Context(), conn.Conn())} {
		require.ErrorIs(t, err, orchestration.ErrSchemaNewer)
		require.Contains(t, errors.FlattenHints(err), fmt.Sprintf("is %d or later", own.Latest+1))
	}
	require.ErrorIs(t, orchestration.MigrateDown(t.Context(), conn.Conn(), 1), orchestration.ErrSchemaNewer)
}

// Before version 6 the tables do not say which programs they admit: one version only.
func TestOldestBeforeItWasWritten(t *testing.T) {
	t.Parallel()
	conn := connection(t)
	require.NoError(t, orchestration.Migrate(t.Context(), conn))
	require.NoError(t, orchestration.MigrateDown(t.Context(), conn, 5))
	s, err := orchestration.ReadSchema(t.Context(), conn)
	require.NoError(t, err)
	require.Equal(t, []int32{5, 5}, []int32{s.Version, s.Oldest})
	require.False(t, s.Supported())
}

// A worker of the version before may hold the lock on a table that the migration wants,
// and want one that it holds. The migration gives way and begins anew.
func TestMigrationGivesWayInADeadlock(t *testing.T) {
	t.Parallel()
	pool := database(t)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	require.NoError(t, orchestration.MigrateDown(t.Context(), conn.Conn(), 5))
	worker, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = worker.Rollback(t.Context()) }()
	_, err = worker.Exec(t.Context(), "lock tasker.attempts in row exclusive mode")
	require.NoError(t, err)
	ended := make(chan error, 1)
	locked := func() bool {
		var tables int
		require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from pg_locks
			where relation = 'tasker.steps'::regclass and mode = 'AccessExclusiveLock' and granted`).Scan(&tables))
		return tables > 0
	}
	go func() { ended <- orchestration.Migrate(t.Context(), conn.Conn()) }()
	require.Eventually(t, locked, patience, time.Millisecond)
	_, err = worker.Exec(t.Context(), "select count(*) from tasker.steps")
	require.NoError(t, err, "the worker goes on")
	require.NoError(t, worker.Commit(t.Context()))
	require.NoError(t, <-ended)
}

// A worker of version 5 begins and ends tasks without the queue; it follows.
func TestQueueFollowsVersion5(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	ids := []int64{b.submit(t, template(t, "a:", ""), "{}"), b.submit(t, template(t, "a:", ""), "{}")}
	require.NoError(t, b.Close())
	conn, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	require.NoError(t, orchestration.MigrateDown(t.Context(), conn.Conn(), 5))
	require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()))
	for _, c := range []struct {
		change string
		begun  any
	}{
		{"state = 'in_progress', held_by = 7", true},
		{"held_by = null, wake_at = now()", true},
		{"state = 'complete', held_by = null", nil},
	} {
		_, err := conn.Exec(t.Context(), "update tasker.tasks set "+c.change+" where task_id = $1", ids[0])
		require.NoError(t, err)
		var begun, other any
		require.NoError(t, conn.QueryRow(t.Context(), `select (select begun from tasker.queue where task_id = $1),
			(select begun from tasker.queue where task_id = $2)`, ids[0], ids[1]).Scan(&begun, &other))
		require.Equal(t, c.begun, begun, c.change)
		require.Equal(t, false, other)
	}
}

// audit5 is what version 5 shows of a task: the states, the parents and the changes.
func audit5(t *testing.T, pool *pgxpool.Pool, id int64) string {
	t.Helper()
	var text string
	require.NoError(t, pool.QueryRow(t.Context(), `
		select concat_ws(e'\n', k.state, (
			select string_agg(format('%s > %s %s %s %s', coalesce(from_state, ''), to_state, coalesce(reason, ''), coalesce(actor, ''),
				extract(epoch from at)::numeric(20, 6)), e'\n' order by transition_id)
			from tasker.task_transitions w where w.task_id = k.task_id), (
			select string_agg(concat_ws(e'\n', format('%s %s %s after %s', s.name, s.state, s.attempts - s.forgiven, array(
					select p.name from tasker.edges e join tasker.steps p on p.step_id = e.parent_id
					where e.child_id = s.step_id order by p.position)), (
				select string_agg(format('%s > %s %s %s %s %s', coalesce(from_state, ''), to_state, attempt, coalesce(w.reason, ''), coalesce(w.actor, ''),
					extract(epoch from w.at)::numeric(20, 6)), e'\n' order by transition_id)
				from tasker.step_transitions w where w.step_id = s.step_id)), e'\n' order by s.position)
			from tasker.steps s where s.task_id = k.task_id))
		from tasker.tasks k where k.task_id = $1`, id).Scan(&text))
	return text
}

// audit is the same of a task that this program has read.
func audit(d *orchestration.TaskDetail) string {
	lines := []string{string(d.State)}
	changes := func(list []orchestration.Transition, attempt bool) {
		for _, w := range list {
			line := w.From + " > " + w.To
			if attempt {
				line += fmt.Sprintf(" %d", w.Attempt)
			}
			lines = append(lines, fmt.Sprintf("%s %s %s %d.%06d", line, w.Reason, w.Actor, w.At.Unix(), w.At.Nanosecond()/1000))
		}
	}
	changes(d.Transitions, false)
	for _, s := range d.Steps {
		lines = append(lines, fmt.Sprintf("%s %s %d after {%s}", s.Name, s.State, s.Attempts, strings.Join(s.Parents, ",")))
		changes(s.Transitions, true)
	}
	return strings.Join(lines, "\n")
}

// Version 5 shows the same audit as this one, and after the migration back and forth the
// tasks run to their end.
func TestTasksOfVersion5(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	b := engine(t, funcs{
		"Bad": failUnless(&works),
		"Slow": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			if x.Attempt > 1 {
				return nil, nil
			}
			wait := time.Millisecond
			return nil, &orchestration.StepError{Class: "Busy", RetryAfter: &wait}
		},
	})
	bad := template(t, "good:\nbad: good\nafter: good bad", "default_retry_limit: 2")
	ids := map[string]int64{}
	var err error
	made, err := b.Submit(t.Context(), orchestration.Submission{
		Template: template(t, diamond, ""), IdentityKey: "one", Tags: []string{"vip", "eu"}, Context: json.RawMessage(`{"n": 1e20}`)})
	require.NoError(t, err)
	ids["pending"] = made.TaskID
	ids["complete"] = b.run(t, template(t, diamond, "")).TaskID
	ids["error"] = b.run(t, bad).TaskID
	ids["retried"] = b.run(t, bad).TaskID
	require.NoError(t, b.RetryTask(t.Context(), ids["retried"], ops))
	ids["resolved step"] = b.run(t, bad).TaskID
	require.NoError(t, b.ResolveStep(t.Context(), ids["resolved step"], "bad", json.RawMessage(`1`), ops))
	ids["resolved"] = b.run(t, bad).TaskID
	require.NoError(t, b.ResolveTask(t.Context(), ids["resolved"], ops))
	ids["cancelled"] = b.submit(t, template(t, diamond, ""), "{}")
	require.NoError(t, b.CancelTask(t.Context(), ids["cancelled"], ops))
	ids["cancelled after error"] = b.run(t, bad).TaskID
	require.NoError(t, b.CancelTask(t.Context(), ids["cancelled after error"], ops))
	ids["waiting"] = b.submit(t, template(t, "slow:\nafter: slow", ""), "{}")
	ids["running"] = b.submit(t, template(t, "slow:\nother:", ""), "{}")
	// Two tasks as an engine leaves them that is killed.
	for _, id := range []int64{ids["waiting"], ids["running"]} {
		_, err = b.pool.Exec(t.Context(), `
			with k as (update tasker.tasks set state = 'in_progress', begun_at = now() where task_id = $1),
			q as (update tasker.queue set begun = true where task_id = $1)
			update tasker.steps set state = 'in_progress', attempts = 1, claimed_by = 2000000000, last_attempted_at = now()
			where task_id = $1 and name = 'slow'`, id)
		require.NoError(t, err)
	}
	_, err = b.pool.Exec(t.Context(), `
		with s as (
			update tasker.steps set state = 'waiting_for_retry', claimed_by = null, next_attempt_at = now() where task_id = $1 and name = 'slow' returning *)
		insert into tasker.attempts (step_id, attempt, outcome, error, error_class, started_at, ended_at, claimed_by, to_state, reason)
		select step_id, 1, 'error', '{"class": "Busy", "message": "busy"}', 'Busy', last_attempted_at, now(), 2000000000, 'waiting_for_retry', 'it was busy' from s`, ids["waiting"])
	require.NoError(t, err)
	require.NoError(t, b.Close())

	conn, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	read := func() map[string]string {
		texts := map[string]string{}
		for name, id := range ids {
			d, err := orchestration.ReadTask(t.Context(), b.pool, id)
			require.NoError(t, err)
			texts[name] = audit(d)
		}
		return texts
	}
	down := func(want map[string]string) {
		require.NoError(t, orchestration.MigrateDown(t.Context(), conn.Conn(), 5))
		for name, id := range ids {
			require.Equal(t, want[name], audit5(t, b.pool, id), name)
		}
	}
	before := read()
	down(before)
	require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()))
	require.Equal(t, before, read())

	works.Store(true)
	worker := engineOn(t, b.pool, funcs{"Bad": failUnless(&works)})
	stop := worker.work(t, orchestration.WorkerConfig{})
	worker.waitForTasks(t, orchestration.TaskComplete, 6)
	stop()
	var left int
	require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*) from tasker.queue").Scan(&left))
	require.Zero(t, left)
	require.NoError(t, worker.Close())
	after := read()
	for name, text := range before {
		if state, _, _ := strings.Cut(text, "\n"); state != "pending" && state != "in_progress" {
			require.Equal(t, text, after[name], name)
		}
	}
	down(after)
	require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()))
	require.Equal(t, after, read())
}

func TestReadOnlyDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	conn := connection(t)
	_, err := conn.Exec(t.Context(), "set default_transaction_read_only = on")
	require.NoError(t, err)
	require.ErrorContains(t, orchestration.Migrate(t.Context(), conn), "read-only")
}

// The rows that belong to a task are deleted with it.
func TestDeletingATaskDeletesItsRows(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	gone, kept := b.run(t, template(t, diamond, "")), b.run(t, template(t, diamond, ""))
	_, err := b.pool.Exec(t.Context(), "delete from tasker.tasks where task_id = $1", gone.TaskID)
	require.NoError(t, err)
	var left []int
	require.NoError(t, b.pool.QueryRow(t.Context(), `select array[(select count(*) from tasker.tasks), (select count(*) from tasker.steps),
		(select count(*) from tasker.queue), (select count(*) from tasker.attempts), (select count(*) from tasker.step_history),
		(select count(*) from tasker.task_history)]::int[]`).Scan(&left))
	require.Equal(t, []int{1, 4, 0, 4, 8, 3}, left)
	d, err := b.Task(t.Context(), kept.TaskID)
	require.NoError(t, err)
	require.Len(t, d.Steps, 4)
}
