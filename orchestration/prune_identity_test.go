package orchestration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// submissions are the ways to submit one task.
var submissions = map[string]func(context.Context, *bundle, pgx.TxOptions, orchestration.Submission) (orchestration.Submitted, error){
	"Submit": func(ctx context.Context, b *bundle, _ pgx.TxOptions, s orchestration.Submission) (orchestration.Submitted, error) {
		return b.Submit(ctx, s)
	},
	"SubmitTx": func(ctx context.Context, b *bundle, o pgx.TxOptions, s orchestration.Submission) (done orchestration.Submitted, err error) {
		err = pgx.BeginTxFunc(ctx, b.pool, o, func(tx pgx.Tx) (err error) {
			done, err = b.SubmitTx(ctx, tx, s)
			return err
		})
		return done, err
	},
	"SubmitMany": func(ctx context.Context, b *bundle, _ pgx.TxOptions, s orchestration.Submission) (orchestration.Submitted, error) {
		list, err := b.SubmitMany(ctx, []orchestration.Submission{{Template: s.Template}, s, s})
		if err != nil {
			return orchestration.Submitted{}, err
		}
		if again := list[2]; again.TaskID != list[1].TaskID || !again.Existed {
			return list[1], errors.Newf("the second of the list: %+v", again)
		}
		return list[1], nil
	},
}

// A submission with the key of a pruned task writes nothing, and answers with its number.
func TestIdentityOutlivesTheTask(t *testing.T) {
	t.Parallel()
	clock, withClock := setClock()
	b := engine(t, nil, withClock)
	tmpl := kept(t, "plain", "")
	first := b.endIn(t, tmpl, orchestration.TaskCancelled, "order-1")
	byContent := orchestration.Submission{Template: tmpl, Context: []byte(`{"b": 1, "a": 2}`), IdentityByContent: true}
	second, err := b.Submit(t.Context(), byContent)
	require.NoError(t, err)
	_, err = b.Run(t.Context(), second.TaskID)
	require.NoError(t, err)
	clock.Add(int64(10 * day / time.Microsecond))
	done, err := b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: day})
	require.NoError(t, err)
	require.Equal(t, 2, done.Tasks)
	require.Equal(t, map[string]int{"tombstones": 2}, b.rows(t))

	for name, submit := range submissions {
		got, err := submit(t.Context(), b, pgx.TxOptions{}, orchestration.Submission{Template: tmpl, IdentityKey: "order-1"})
		require.NoError(t, err, name)
		require.Equal(t, orchestration.Submitted{TaskID: first, Existed: true}, got, name)
		got, err = submit(t.Context(), b, pgx.TxOptions{}, byContent)
		require.NoError(t, err, name)
		require.Equal(t, orchestration.Submitted{TaskID: second.TaskID, Existed: true}, got, name)
	}
	require.Equal(t, map[string]int{"tasks": 2, "steps": 4, "queue": 2, "tombstones": 2}, b.rows(t), "SubmitMany has one task without a key")
}

// pruneByHand does in the transaction what a prune does with one task.
func pruneByHand(t *testing.T, tx pgx.Tx, id int64) {
	t.Helper()
	_, err := tx.Exec(t.Context(), `insert into tasker.tombstones (identity_key, task_id, state, ended_at, pruned_at)
		select identity, task_id, state, created_at, now() from tasker.tasks where task_id = $1`, id)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "delete from tasker.tasks where task_id = $1", id)
	require.NoError(t, err)
}

// awaitLockWait waits until a statement waits for a lock.
func awaitLockWait(t *testing.T, b *bundle) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, b.pool.QueryRow(t.Context(),
			"select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'").Scan(&n))
		return n > 0
	}, patience, time.Millisecond)
}

// A submission that comes while the task of its key is being pruned waits, and then
// writes nothing.
func TestSubmissionDuringThePrune(t *testing.T) {
	t.Parallel()
	for name, submit := range submissions {
		for _, commits := range []bool{true, false} {
			b := engine(t, nil)
			tmpl := kept(t, "plain", "")
			old := b.endIn(t, tmpl, orchestration.TaskComplete, "order-1")
			tx, err := b.pool.Begin(t.Context())
			require.NoError(t, err)
			pruneByHand(t, tx, old)
			type answer struct {
				orchestration.Submitted
				err error
			}
			answers := make(chan answer, 1)
			go func() {
				s, err := submit(t.Context(), b, pgx.TxOptions{}, orchestration.Submission{Template: tmpl, IdentityKey: "order-1"})
				answers <- answer{s, err}
			}()
			awaitLockWait(t, b)
			if commits {
				require.NoError(t, tx.Commit(t.Context()))
			} else {
				require.NoError(t, tx.Rollback(t.Context()))
			}
			require.Equal(t, answer{Submitted: orchestration.Submitted{TaskID: old, Existed: true}}, <-answers, "%s, commits: %v", name, commits)
			var n int
			require.NoError(t, b.pool.QueryRow(t.Context(), "select count(*) from tasker.tasks where identity is not null").Scan(&n))
			require.Equal(t, map[bool]int{true: 0, false: 1}[commits], n)
		}
	}
}

// The snapshot of the caller's transaction may be older than the prune, and older than the
// task itself.
func TestSubmissionWithAnOldSnapshot(t *testing.T) {
	t.Parallel()
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		for _, known := range []bool{true, false} {
			b := engine(t, nil)
			tmpl := kept(t, "plain", "")
			b.endIn(t, tmpl, orchestration.TaskComplete, "") // the template is there before the snapshot
			before := b.rows(t)
			fresh, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
			require.NoError(t, err)
			snapshot := func() {
				_, err := fresh.Exec(t.Context(), "select from tasker.tasks")
				require.NoError(t, err)
			}
			if !known {
				snapshot()
			}
			old := b.endIn(t, tmpl, orchestration.TaskComplete, "order-1")
			if known {
				snapshot()
			}
			require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
				pruneByHand(t, tx, old)
				return nil
			}))
			done, err := b.SubmitTx(t.Context(), fresh, orchestration.Submission{Template: tmpl, IdentityKey: "order-1"})
			if known {
				require.NoError(t, err)
				require.Equal(t, orchestration.Submitted{TaskID: old, Existed: true}, done)
				require.NoError(t, fresh.Commit(t.Context()))
			} else {
				var refused *pgconn.PgError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, "40001", refused.Code, "%v", err)
				require.NoError(t, fresh.Rollback(t.Context()))
			}
			before["tombstones"]++
			require.Equal(t, before, b.rows(t))

			// A key that nobody knows works, and leaves no trace of the check.
			done, err = submissions["SubmitTx"](t.Context(), b, pgx.TxOptions{IsoLevel: level}, orchestration.Submission{Template: tmpl, IdentityKey: "order-2"})
			require.NoError(t, err)
			require.False(t, done.Existed)
			before["tasks"], before["steps"], before["queue"] = before["tasks"]+1, before["steps"]+2, 1
			require.Equal(t, before, b.rows(t))
		}
	}
}

// Whoever submits a few keys again and again, while their tasks are ended and pruned, gets
// one number for each key.
func TestSubmissionsAndPrunesAtRandom(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	tmpl := kept(t, "plain", "")
	const keys, rounds = 40, 60
	var mu sync.Mutex
	numbers := map[string]int64{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range rounds {
				key := fmt.Sprintf("key-%d", rand.IntN(keys))
				for name, submit := range submissions {
					level := []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable}[rand.IntN(3)]
					done, err := submit(t.Context(), b, pgx.TxOptions{IsoLevel: level}, orchestration.Submission{Template: tmpl, IdentityKey: key, NoWake: true})
					var refused *pgconn.PgError
					if errors.As(err, &refused) && refused.Code == "40001" && name == "SubmitTx" && level != pgx.ReadCommitted {
						continue
					}
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					mu.Lock()
					if id, known := numbers[key]; known && id != done.TaskID {
						t.Errorf("%s was task %d, and then %s answered %d", key, id, name, done.TaskID)
					}
					numbers[key] = done.TaskID
					mu.Unlock()
				}
			}
		})
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	pruned := 0
	go func() {
		defer close(stopped)
		for last := false; !last; { // the last time after all submissions
			select {
			case <-stop:
				last = true
			default:
			}
			_, err := b.pool.Exec(t.Context(), `with k as (
				update tasker.tasks set state = 'complete', ended_at = created_at where state = 'pending' and identity is not null returning task_id)
				delete from tasker.queue where task_id in (select task_id from k)`)
			if err != nil {
				t.Error(err)
				return
			}
			done, err := b.Prune(t.Context(), orchestration.PruneOptions{OlderThan: time.Microsecond})
			if err != nil {
				t.Error(err)
				return
			}
			pruned += done.Tasks
		}
	}()
	wg.Wait()
	close(stop)
	<-stopped
	require.NotEmpty(t, numbers)
	require.Positive(t, pruned)
	require.LessOrEqual(t, pruned, len(numbers), "no key had two tasks")
	var n int
	require.NoError(t, b.pool.QueryRow(t.Context(), `select count(*) from tasker.steps s where not exists (select from tasker.tasks k where k.task_id = s.task_id)`).Scan(&n))
	require.Zero(t, n)
}

// A program of version 6 that is still running does not know of tombstones, and submits
// nothing.
func TestVersion6SubmitsNothing(t *testing.T) {
	t.Parallel()
	pool := database(t)
	_, err := pool.Exec(t.Context(), `insert into tasker.tasks (digest, namespace, name, version, context, identity_key, run_at, created_at)
		select '', '', '', '', '{}', null, now(), now() on conflict (identity_key) where identity_key is not null do nothing`)
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "42703", refused.Code)
}
