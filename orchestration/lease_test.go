package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Giving a task back fails for a while. The worker keeps the task until it succeeds, and
// the task then continues.
func TestGivingBackIsRetried(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	log := &records{seen: make(chan string, 1000)}
	clock := jumpingClock{start: time.Now()}
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		if later := time.Minute; runs.Add(1) == 1 {
			return nil, &orchestration.StepError{Class: "Later", RetryAfter: &later}
		}
		return nil, nil
	}}, func(c *orchestration.Config) { c.Logger, c.Now = slog.New(log), clock.Now })
	b.SetStopTimeout(time.Nanosecond)
	_, err := b.pool.Exec(t.Context(), `
		create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$;
		create trigger refuse before update on tasker.queue for each row
			when (old.held_by is not null and new.held_by is null) execute function refuse()`)
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{Poll: 10 * time.Millisecond})
	b.submit(t, template(t, "a:", ""), "{}")
	log.waitFor(t, "a task could not be given back; trying again")
	_, err = b.pool.Exec(t.Context(), "drop trigger refuse on tasker.queue")
	require.NoError(t, err)
	clock.jump.Store(int64(2 * time.Minute))
	b.waitForTasks(t, orchestration.TaskComplete, 1)
	require.EqualValues(t, 2, runs.Load())
}

// A worker that keeps failing to lease tasks still stops.
func TestWorkerStopsWhileLeasingFails(t *testing.T) {
	t.Parallel()
	b := engine(t, nil, mayLogErrors)
	b.SetStopTimeout(time.Millisecond)
	_, err := b.pool.Exec(t.Context(), `
		create sequence tries;
		create function refuse() returns trigger language plpgsql as $$
			begin perform nextval('tries'); raise 'going down' using errcode = 'admin_shutdown'; end $$;
		create trigger refuse before update on tasker.queue for each row
			when (old.held_by is null and new.held_by is not null) execute function refuse()`)
	require.NoError(t, err)
	b.submit(t, template(t, "a:", ""), "{}")
	stop := b.work(t, orchestration.WorkerConfig{})
	require.Eventually(t, func() bool {
		var tries int
		return b.pool.QueryRow(t.Context(), "select last_value from tries").Scan(&tries) == nil && tries > 2
	}, patience, 5*time.Millisecond)
	stop()
	require.Equal(t, 1, b.inState(t, orchestration.TaskPending))
}

// records collects the messages of a log.
type records struct{ seen chan string }

func (*records) Enabled(context.Context, slog.Level) bool { return true }

func (r *records) WithAttrs([]slog.Attr) slog.Handler { return r }

func (r *records) WithGroup(string) slog.Handler { return r }

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
		case <-time.After(patience):
			t.Fatalf("%q was not logged", message)
		}
	}
}

func TestLeasesGoByPriority(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []int64
	b := engine(t, funcs{"A": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, x.TaskID)
		return nil, nil
	}})
	var list []orchestration.Submission
	for _, p := range []int16{0, 5, -5, 5} {
		list = append(list, orchestration.Submission{Template: template(t, "a:", ""), Priority: p})
	}
	made, err := b.SubmitMany(t.Context(), list)
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{MaxTasks: 1})
	b.waitForTasks(t, orchestration.TaskComplete, 4)
	id := func(i int) int64 { return made[i].TaskID }
	require.ElementsMatch(t, []int64{id(1), id(3)}, order[:2])
	require.Equal(t, []int64{id(0), id(2)}, order[2:])
}

// The answer to a lease is lost, and the next try finds nothing to lease. The worker
// takes the tasks all the same, although its engine lives and holds them.
func TestTasksOfAnUnheardLeaseAreTaken(t *testing.T) {
	t.Parallel()
	const tasks = 17 // no other statement returns as many rows
	for _, fate := range []pgproxy.Fate{pgproxy.ThenCut, pgproxy.ThenSilence} {
		t.Run(fmt.Sprint(fate), func(t *testing.T) {
			t.Parallel()
			c := behindProxy(t, nil)
			_, err := c.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, "a:", "")}))
			require.NoError(t, err)
			c.proxy.SwallowAnswers(1, func(tag string) bool { return tag == fmt.Sprint("SELECT ", tasks) }, fate, pgproxy.Not(pgproxy.Listened))
			c.work(t, orchestration.WorkerConfig{Poll: 100 * time.Millisecond})
			c.waitForTasks(t, orchestration.TaskComplete, tasks)
			require.Equal(t, 1, c.proxy.Swallowed())
		})
	}
}

// Two workers of one engine free no task that the other one has just leased.
func TestWorkersOfOneEngineKeepTheirLeases(t *testing.T) {
	t.Parallel()
	const tasks = 300
	log := &lines{}
	b := engine(t, nil, func(c *orchestration.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	for range 2 {
		b.work(t, orchestration.WorkerConfig{Poll: time.Millisecond, MaxTasks: 3})
	}
	_, err := b.SubmitMany(t.Context(), many(tasks, orchestration.Submission{Template: template(t, diamond, "")}))
	require.NoError(t, err)
	b.waitForTasks(t, orchestration.TaskComplete, tasks)
	require.Zero(t, log.count("freed tasks"), "%s", log.text.String())
}
