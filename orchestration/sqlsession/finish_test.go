package sqlsession_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// If a statement of the engine's fails at the commit, the handler's work is rolled
// back.
func TestCommitThatFails(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.ForStep(pool, "")
	tx, err := s.Tx(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "insert into ledger values ($1)", 1)
	require.NoError(t, err)
	require.ErrorContains(t, tx.Commit(t.Context()), "by the engine")
	require.ErrorContains(t, tx.Rollback(t.Context()), "by the engine")
	s.Finish()
	err = s.Commit(t.Context(), func(batch *pgx.Batch) { batch.Queue("insert into ledger values (1)") })
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "23505", refused.Code)
	require.Empty(t, written(t, pool))
	require.Eventually(t, func() bool { return pool.Stat().AcquiredConns() == 0 }, time.Minute, time.Millisecond)
}

// A handler may ask for its transaction and not use it. Then there is nothing to
// commit.
func TestUnusedTransaction(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.ForStep(pool, "")
	tx, err := s.Tx(t.Context())
	require.NoError(t, err)
	open, failure := s.Finish()
	require.False(t, open)
	require.Nil(t, failure)
	s.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), "insert into ledger values ($1)", 1)
	require.ErrorIs(t, err, sqlsession.ErrOver)
	require.Empty(t, written(t, pool))
}

// A handler may swallow an error. The step then fails with that error, and not with
// PostgreSQL's error for the statements after it. After a rollback to a savepoint it
// does not fail.
func TestSwallowedError(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	for _, again := range []bool{false, true} {
		s := sqlsession.ForStep(pool, "")
		tx, err := s.Tx(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "insert into ledger values ($1)", 1)
		require.NoError(t, err)
		inner, err := tx.Begin(t.Context())
		require.NoError(t, err)
		_, err = inner.Exec(t.Context(), "insert into ledger values ($1)", 1)
		require.Error(t, err)
		require.Error(t, inner.QueryRow(t.Context(), "select 1").Scan(nil))
		if again {
			require.NoError(t, inner.Rollback(t.Context()))
		}
		open, failure := s.Finish()
		require.True(t, open)
		if again {
			require.Nil(t, failure)
			require.NoError(t, s.Commit(t.Context(), record))
			require.Equal(t, []int32{1, 100}, written(t, pool))
			continue
		}
		require.Equal(t, "23505", failure.SQLState)
		s.Rollback(t.Context())
	}
}

// source is a source of rows for CopyFrom.
type source func() bool

func (s source) Next() bool           { return s() }
func (source) Values() ([]any, error) { return []any{7}, nil }
func (source) Err() error             { return nil }

// A source of rows cannot use the transaction that it is copied into. A source that
// does not return cannot keep the step from ending.
func TestSourceOfACopy(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.ForStep(pool, "")
	step, end := context.WithCancel(t.Context())
	s.Until(step)
	tx, err := s.Tx(step)
	require.NoError(t, err)
	_, err = tx.CopyFrom(step, pgx.Identifier{"ledger"}, []string{"n"}, source(func() bool {
		_, err := tx.Exec(step, "select 1")
		require.ErrorContains(t, err, "conn busy")
		return false
	}))
	require.NoError(t, err)

	goOn, copied := make(chan struct{}), make(chan error, 1)
	asked := make(chan struct{})
	go func() {
		_, err := tx.CopyFrom(step, pgx.Identifier{"ledger"}, []string{"n"}, source(func() bool {
			close(asked)
			<-goOn
			return false
		}))
		copied <- err
	}()
	<-asked
	end()
	_, failure := s.Finish()
	require.ErrorContains(t, failure, "a call of its transaction has not")
	s.Rollback(t.Context())
	s.Done(sqlsession.RolledBack)
	close(goOn)
	require.Error(t, <-copied)
	require.Eventually(t, func() bool { return pool.Stat().AcquiredConns() == 0 }, time.Minute, time.Millisecond)
	require.Empty(t, written(t, pool))
}
