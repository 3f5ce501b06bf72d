package orchestration_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// A handler returns while the database is away, for longer than a stopping
// engine would wait: its result is kept until it can be recorded.
func TestResultsOutliveAnOutage(t *testing.T) {
	t.Parallel()
	pool, postmaster := privateDatabase(t, nil)
	var runs atomic.Int32
	away := func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		runs.Add(1)
		if err := syscall.Kill(postmaster, syscall.SIGINT); err != nil {
			return nil, err
		}
		for pool.Ping(ctx) == nil {
			time.Sleep(time.Millisecond) // Ping is the condition
		}
		return json.RawMessage(`"done"`), nil
	}
	b := engineOn(t, pool, funcs{"A": away}, mayLogErrors)
	b.SetRecordTimeout(time.Nanosecond)
	d := b.run(t, template(t, "a:\nb: a", ""))
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.EqualValues(t, 1, runs.Load())
	require.Len(t, step(t, d, "a").History, 1)
}

// The database is given up while a handler runs: Run ends with the handler,
// however long it would else try to record that, whether the server is down or
// hangs.
func TestDatabaseThatIsGoneIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, hangs := range map[string]bool{"down": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Dir: pgtest.MemoryDir()})
			require.NoError(t, err)
			stop := sync.OnceFunc(func() { _ = server.Close() }) // it may complain of the sessions that it ends
			t.Cleanup(stop)
			pool, err := pgxpool.New(t.Context(), server.URL())
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			conn, err := pool.Acquire(t.Context())
			require.NoError(t, err)
			require.NoError(t, orchestration.Migrate(t.Context(), conn.Conn()))
			conn.Release()
			ctx, giveUp := context.WithCancelCause(t.Context())
			away := func() error { stop(); return nil }
			b := engineOn(t, pool, funcs{"A": func(attempt context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
				if err := away(); err != nil {
					return nil, err
				}
				giveUp(orchestration.ErrDatabaseGone)
				<-attempt.Done()
				return nil, attempt.Err()
			}}, mayLogErrors)
			b.SetRecordTimeout(time.Hour)
			if hangs {
				away = func() error { return hang(t, pool) }
			}
			id := b.submit(t, template(t, "a:", ""), "{}")
			_, err = b.Run(ctx, id)
			require.Error(t, err)
			require.ErrorIs(t, context.Cause(ctx), orchestration.ErrDatabaseGone)
		})
	}
}

// hang stops the server's processes until the end of the test.
func hang(t *testing.T, pool *pgxpool.Pool) error {
	postmaster, err := postmasterOf(t.Context(), pool)
	if err != nil {
		return err
	}
	rows, err := pool.Query(t.Context(), "select pid from pg_stat_activity")
	if err != nil {
		return err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	pids = append(pids, postmaster)
	t.Cleanup(func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	})
	for _, pid := range pids {
		err = errors.CombineErrors(err, syscall.Kill(pid, syscall.SIGSTOP))
	}
	return err
}

// What keeps a worker from giving a task back may pass; until then the task is
// its own, and after that it goes on.
func TestTaskThatCannotBeGivenBack(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	log := &records{seen: make(chan string, 1000)}
	clock := jumpingClock{start: time.Now()}
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		if later := time.Minute; runs.Add(1) == 1 {
			return nil, &orchestration.StepError{Class: "Later", RetryAfter: &later}
		}
		return nil, nil
	}}, func(c *orchestration.Config) { c.Logger, c.Now = slog.New(log), clock.now })
	b.SetRecordTimeout(time.Nanosecond)
	_, err := b.pool.Exec(t.Context(), `
		create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$;
		create trigger refuse before update on tasker.tasks for each row
			when (old.held_by is not null and new.held_by is null and new.state = 'in_progress') execute function refuse()`)
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{Poll: 10 * time.Millisecond})
	b.submit(t, template(t, "a:", ""), "{}")
	log.waitFor(t, "a task could not be given back; trying again")
	_, err = b.pool.Exec(t.Context(), "drop trigger refuse on tasker.tasks")
	require.NoError(t, err)
	clock.jump.Store(int64(2 * time.Minute))
	b.waitForTasks(t, orchestration.TaskComplete, 1)
	require.EqualValues(t, 2, runs.Load())
}

// A worker that cannot take tasks, for a reason that may pass, still stops.
func TestWorkerThatCannotTakeTasksStops(t *testing.T) {
	t.Parallel()
	b := engine(t, nil, mayLogErrors)
	b.SetRecordTimeout(time.Millisecond)
	_, err := b.pool.Exec(t.Context(), `
		create sequence tries;
		create function refuse() returns trigger language plpgsql as $$
			begin perform nextval('tries'); raise 'going down' using errcode = 'admin_shutdown'; end $$;
		create trigger refuse before update on tasker.tasks for each row
			when (old.held_by is null and new.held_by is not null) execute function refuse()`)
	require.NoError(t, err)
	b.submit(t, template(t, "a:", ""), "{}")
	stop := b.work(t, orchestration.WorkerConfig{})
	require.Eventually(t, func() bool {
		var tries int
		return b.pool.QueryRow(t.Context(), "select last_value from tries").Scan(&tries) == nil && tries > 2
	}, 20*time.Second, 5*time.Millisecond)
	stop()
	require.Equal(t, 1, b.inState(t, orchestration.TaskPending))
}

// records passes on the messages of a log.
type records struct{ seen chan string }

func (*records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler     { return r }
func (r *records) WithGroup(string) slog.Handler          { return r }

func (r *records) Handle(_ context.Context, record slog.Record) error {
	select {
	case r.seen <- record.Message:
	default:
	}
	return nil
}

func (r *records) waitFor(t *testing.T, message string) {
	t.Helper()
	for {
		select {
		case seen := <-r.seen:
			if seen == message {
				return
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q was not logged", message)
		}
	}
}
