package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// day is how tests count the age of tasks.
const day = 24 * time.Hour

// setClock returns a clock of the engine that a test can advance.
func setClock() (clock *atomic.Int64, edit func(*orchestration.Config)) {
	clock = &atomic.Int64{}
	clock.Store(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	return clock, func(c *orchestration.Config) {
		c.Clock = stoppedClock{clock}
	}
}

// stoppedClock stands still at a time in microseconds until it is advanced.
type stoppedClock struct{ at *atomic.Int64 }

func (c stoppedClock) Now() time.Time { return time.UnixMicro(c.at.Load()) }

func (c stoppedClock) At(t time.Time, _ orchestration.Wait, f func()) (stop func()) {
	timer := time.AfterFunc(t.Sub(c.Now()), f)
	return func() { timer.Stop() }
}

// kept makes a template of one step, with more lines for its head.
func kept(t testing.TB, name, head string) *templates.Template {
	t.Helper()
	tmpl, err := templates.Parse([]byte("name: "+name+"\nnamespace_name: ns\n"+head+"step_templates:\n"+
		"  - {name: a, handler_class: A, default_retry_limit: 1}\n  - {name: b, handler_class: B, depends_on_step: a}\n"), "kept.yaml")
	require.NoError(t, err)
	return tmpl
}

// rows counts the rows of all tables that hold something of tasks.
func (b *bundle) rows(t testing.TB) (n map[string]int) {
	t.Helper()
	n = map[string]int{}
	for _, table := range []string{"tasks", "steps", "attempts", "queue", "slots", "task_transitions", "step_transitions", "tombstones"} {
		var count int
		require.NoError(t, b.pool.QueryRow(context.WithoutCancel(t.Context()), "select count(*) from tasker."+table).Scan(&count))
		if count > 0 {
			n[table] = count
		}
	}
	return n
}

func (b *bundle) exists(t testing.TB, id int64) bool {
	t.Helper()
	_, err := b.Task(t.Context(), id)
	if err != nil {
		require.ErrorIs(t, err, orchestration.ErrTaskNotFound)
	}
	return err == nil
}

// endIn submits a task and brings it to an end in the state.
func (b *bundle) endIn(t *testing.T, tmpl *templates.Template, state orchestration.TaskState, key string) int64 {
	t.Helper()
	by := orchestration.By{Actor: "ann"}
	context := `{}`
	if state == orchestration.TaskInError || state == orchestration.TaskResolvedManually {
		context = `{"fail": true}`
	}
	s, err := b.Submit(t.Context(), orchestration.Submission{Template: tmpl, Context: json.RawMessage(context), IdentityKey: key})
	require.NoError(t, err)
	switch state {
	case orchestration.TaskPending:
		return s.TaskID
	case orchestration.TaskCancelled:
		require.NoError(t, b.CancelTask(t.Context(), s.TaskID, by))
		return s.TaskID
	}
	_, err = b.Run(t.Context(), s.TaskID)
	require.NoError(t, err)
	if state == orchestration.TaskResolvedManually {
		require.NoError(t, b.ResolveTask(t.Context(), s.TaskID, by))
	}
	d, err := b.Task(t.Context(), s.TaskID)
	require.NoError(t, err)
	require.Equal(t, state, d.State)
	return s.TaskID
}

// failIfAsked fails if the context says so.
func failIfAsked(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	if string(x.Context) == `{"fail":true}` || string(x.Context) == `{"fail": true}` {
		return nil, &orchestration.StepError{Class: "Asked", Permanent: true}
	}
	return json.RawMessage(`{}`), nil
}

// Tasks that ended long ago are deleted with everything that belongs to them. Tasks in
// error and tasks that have not ended stay.
func TestPruneDeletesWhatEndedLongAgo(t *testing.T) {
	t.Parallel()
	clock, withClock := setClock()
	b := engine(t, funcs{"A": failIfAsked}, withClock)
	tmpl := kept(t, "plain", "")
	ids := map[orchestration.TaskState]int64{}
	all := []orchestration.TaskState{orchestration.TaskComplete, orchestration.TaskCancelled, orchestration.TaskResolvedManually,
		orchestration.TaskInError, orchestration.TaskPending}
	for _, state := range all {
		ids[state] = b.endIn(t, tmpl, state, "")
	}
	clock.Add(int64(10 * day / time.Microsecond))
	young := b.endIn(t, tmpl, orchestration.TaskComplete, "")

	count, err := b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: 9 * day, DryRun: true})
	require.NoError(t, err)
	require.Equal(t, orchestration.Pruned{Tasks: 3}, count)
	done, err := b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: 11 * day})
	require.NoError(t, err)
	require.Zero(t, done)
	done, err = b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: 9 * day, States: []orchestration.TaskState{orchestration.TaskCancelled}})
	require.NoError(t, err)
	require.Equal(t, 1, done.Tasks)
	require.False(t, b.exists(t, ids[orchestration.TaskCancelled]))
	done, err = b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: 9 * day})
	require.NoError(t, err)
	require.Equal(t, 2, done.Tasks)
	for _, state := range all {
		stays := state == orchestration.TaskInError || state == orchestration.TaskPending
		require.Equal(t, stays, b.exists(t, ids[state]), state)
	}
	require.True(t, b.exists(t, young))
	require.Equal(t, map[string]int{"tasks": 3, "steps": 6, "attempts": 3, "queue": 1, "task_transitions": 1}, b.rows(t))
}

// What is kept by its template is kept, whoever asks.
func TestPruneRespectsTemplates(t *testing.T) {
	t.Parallel()
	clock, withClock := setClock()
	b := engine(t, nil, withClock)
	short, long := b.endIn(t, kept(t, "short", "keep: 1d\n"), orchestration.TaskComplete, ""), b.endIn(t, kept(t, "long", "keep: 30d\n"), orchestration.TaskComplete, "")
	forever, plain := b.endIn(t, kept(t, "forever", "keep: forever\n"), orchestration.TaskComplete, ""), b.endIn(t, kept(t, "plain", ""), orchestration.TaskComplete, "")
	clock.Add(int64(10 * day / time.Microsecond))
	done, err := b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: 20 * day})
	require.NoError(t, err)
	require.Zero(t, done, "keep: 1d does not make the command delete more than it was told to")
	done, err = b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: 5 * day, Name: "plain"})
	require.NoError(t, err)
	require.Equal(t, 1, done.Tasks)
	require.False(t, b.exists(t, plain))
	done, err = b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: 5 * day})
	require.NoError(t, err)
	require.Equal(t, 1, done.Tasks)
	require.False(t, b.exists(t, short))
	require.True(t, b.exists(t, long))
	require.True(t, b.exists(t, forever))
}

// A pass goes over all tasks once, in batches, and calls after each. It stops between two
// when its context ends, and says what it did.
func TestPruneGoesInBatches(t *testing.T) {
	t.Parallel()
	clock, withClock := setClock()
	b := engine(t, funcs{"A": failIfAsked}, withClock)
	tmpl := kept(t, "plain", "")
	b.endIn(t, tmpl, orchestration.TaskInError, "")
	list := make([]orchestration.Submission, 1200)
	for i := range list {
		list[i] = orchestration.Submission{Template: tmpl}
	}
	_, err := b.SubmitMany(t.Context(), list)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), "update tasker.tasks set state = 'complete', ended_at = created_at where state = 'pending'")
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), "delete from tasker.queue")
	require.NoError(t, err)
	clock.Add(int64(10 * day / time.Microsecond))

	ctx, cancel := context.WithCancel(t.Context())
	done, err := b.Prune(ctx, orchestration.PruneOptions{OlderThan: day, OnBatch: func(int) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 499, done.Tasks, "the first is in error")
	var calls []int
	done, err = b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: day, OnBatch: func(n int) { calls = append(calls, n) }})
	require.NoError(t, err)
	require.Equal(t, 701, done.Tasks)
	require.Equal(t, []int{499, 701}, calls)
	require.Equal(t, map[string]int{"tasks": 1, "steps": 2, "attempts": 1, "task_transitions": 1}, b.rows(t))
}

// The statements read no table as a whole, also if nothing was analyzed yet.
func TestPruneUsesIndexes(t *testing.T) {
	t.Parallel()
	full, empty := loadMany(t), database(t)
	states := []string{"complete", "cancelled", "resolved_manually"}
	for _, pool := range []*pgxpool.Pool{full, empty} {
		for sql, args := range map[string][]any{
			orchestration.PruneSQL:        {"a1", int64(0), states, minute(9_000), minute(50_000)},
			orchestration.CountPrunedSQL:  {"a1", int64(0), states, minute(9_000)},
			orchestration.OfIdentitiesSQL: {[]string{"a", "b"}},
		} {
			require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), orchestration.PlannedOnceSQL)
				require.NoError(t, err)
				var plan string
				require.NoError(t, tx.QueryRow(t.Context(), "explain (format json) "+sql, args...).Scan(&plan))
				require.Empty(t, scanned(t, plan), plan)
				return nil
			}))
		}
	}
}

func TestPruneRefusesWhatIsNotOver(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	for _, state := range []orchestration.TaskState{orchestration.TaskInError, orchestration.TaskPending, orchestration.TaskInProgress, "asleep"} {
		_, err := b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: day, States: []orchestration.TaskState{state}})
		require.ErrorContains(t, err, fmt.Sprintf("%q cannot be pruned", state))
	}
	_, err := b.Prune(t.Context(), orchestration.PruneOptions{})
	require.ErrorContains(t, err, "OlderThan")
}

// A task of which another transaction has locked something is left to the next pass. The
// prune waits for nobody.
func TestPruneWaitsForNoLock(t *testing.T) {
	t.Parallel()
	for _, lock := range []string{
		"select from tasker.tasks where task_id = $1 for key share",
		"select from tasker.steps where task_id = $1 order by step_id desc limit 1 for key share",
		"select from tasker.slots where step_id in (select step_id from tasker.steps where task_id = $1) for update",
	} {
		clock, withClock := setClock()
		b := engine(t, nil, withClock)
		locked := b.endIn(t, parseHead(t, "concurrency_key: k"), orchestration.TaskComplete, "key")
		// The permit of a step whose engine died is there until another step asks for the key.
		_, err := b.pool.Exec(t.Context(), "insert into tasker.slots (step_id, key, capacity, since) select step_id, 'k', 1, now() from tasker.steps where task_id = $1", locked)
		require.NoError(t, err)
		other := b.endIn(t, kept(t, "plain", ""), orchestration.TaskComplete, "")
		clock.Add(int64(10 * day / time.Microsecond))
		tx, err := b.pool.Begin(t.Context())
		require.NoError(t, err)
		tag, err := tx.Exec(t.Context(), lock, locked)
		require.NoError(t, err)
		require.EqualValues(t, 1, tag.RowsAffected(), lock)
		done, err := b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: day})
		require.NoError(t, err)
		require.Equal(t, 1, done.Tasks, lock)
		require.True(t, b.exists(t, locked))
		require.False(t, b.exists(t, other))
		require.NoError(t, tx.Rollback(t.Context()))
		done, err = b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: day})
		require.NoError(t, err)
		require.Equal(t, 1, done.Tasks)
		require.Equal(t, map[string]int{"tombstones": 1}, b.rows(t))
	}
}

// parseHead makes a template of one step with more keys.
func parseHead(t testing.TB, more string) *templates.Template {
	t.Helper()
	return parse(t, "  - {name: a, handler_class: A, "+more+"}\n")
}
