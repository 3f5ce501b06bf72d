package orchestration_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Each way to submit wakes a worker that polls once an hour. With NoWake that is left
// to Wake.
func TestSubmissionsWakeTheWorkers(t *testing.T) {
	t.Parallel()
	tpl := orchestration.Submission{}
	for name, submit := range map[string]func(*testing.T, *bundle, orchestration.Submission){
		"Submit": func(t *testing.T, b *bundle, s orchestration.Submission) {
			_, err := b.Submit(t.Context(), s)
			require.NoError(t, err)
		},
		"SubmitMany": func(t *testing.T, b *bundle, s orchestration.Submission) {
			_, err := b.SubmitMany(t.Context(), many(1, s))
			require.NoError(t, err)
		},
		"SubmitTx": func(t *testing.T, b *bundle, s orchestration.Submission) {
			require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
				_, err := b.SubmitTx(t.Context(), tx, s)
				return err
			}))
		},
		"SubmitManyTx": func(t *testing.T, b *bundle, s orchestration.Submission) {
			require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
				_, err := b.SubmitManyTx(t.Context(), tx, many(1, s))
				return err
			}))
		},
		"Wake": func(t *testing.T, b *bundle, s orchestration.Submission) {
			s.NoWake = true
			require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
				_, err := b.SubmitTx(t.Context(), tx, s)
				return err
			}))
			require.NoError(t, b.Wake(t.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t, nil)
			b.work(t, orchestration.WorkerConfig{Poll: time.Hour})
			s := tpl
			s.Template = template(t, "a:", "")
			submit(t, b, s)
			b.waitForTasks(t, orchestration.TaskComplete, 1)
		})
	}
}

// A submission without a wake-up can be part of a transaction that is prepared.
func TestSubmissionInAPreparedTransaction(t *testing.T) {
	t.Parallel()
	pool, _ := privateDatabase(t, map[string]string{"max_prepared_transactions": "2"})
	b := engineOn(t, pool, nil)
	for _, noWake := range []bool{false, true} {
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		_, err = b.SubmitTx(t.Context(), tx, orchestration.Submission{Template: template(t, "a:", ""), NoWake: noWake})
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "prepare transaction 'order'")
		require.Equal(t, noWake, err == nil, "%v", err)
		if noWake {
			_, err = conn.Exec(t.Context(), "commit prepared 'order'")
			require.NoError(t, err)
		} else {
			require.NoError(t, tx.Rollback(t.Context()))
		}
		conn.Release()
	}
	require.Equal(t, 1, b.inState(t, orchestration.TaskPending))
}
