package sqlsession_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// Every method can be the first use of a handler's transaction. The transaction
// begins before it, and commits with the engine's statements.
func TestFirstUse(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	for name, use := range map[string]func(context.Context, pgx.Tx) error{
		"a statement with arguments": func(ctx context.Context, tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, "insert into ledger values ($1)", 1)
			require.EqualValues(t, 1, tag.RowsAffected())
			return err
		},
		"a statement without": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into ledger values (1)")
			return err
		},
		"several statements": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into ledger values (2); update ledger set n = 1 where n = 2")
			return err
		},
		"named arguments": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into ledger values (@n)", pgx.NamedArgs{"n": 1})
			return err
		},
		"another protocol": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into ledger values ($1)", pgx.QueryExecModeSimpleProtocol, 1)
			return err
		},
		"rows": func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, "insert into ledger values ($1) returning n", 1)
			require.NoError(t, err)
			n, err := pgx.CollectRows(rows, pgx.RowTo[int])
			require.Equal(t, []int{1}, n)
			return err
		},
		"rows that are not read": func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, "insert into ledger values ($1) returning n", 1)
			rows.Close()
			require.NoError(t, rows.Err())
			require.Equal(t, "INSERT 0 1", rows.CommandTag().String())
			return err
		},
		"one row": func(ctx context.Context, tx pgx.Tx) error {
			var n int
			err := tx.QueryRow(ctx, "insert into ledger values (1) returning n").Scan(&n)
			require.Equal(t, 1, n)
			return err
		},
		"no row": func(ctx context.Context, tx pgx.Tx) error {
			require.ErrorIs(t, tx.QueryRow(ctx, "select n from ledger where n = $1", 77).Scan(nil), pgx.ErrNoRows)
			_, err := tx.Exec(ctx, "insert into ledger values ($1)", 1)
			return err
		},
		"a row that does not fit": func(ctx context.Context, tx pgx.Tx) error {
			var n int
			require.Error(t, tx.QueryRow(ctx, "select 'x'").Scan(&n))
			_, err := tx.Exec(ctx, "insert into ledger values ($1)", 1)
			return err
		},
		"a savepoint": func(ctx context.Context, tx pgx.Tx) error {
			inner, err := tx.Begin(ctx)
			require.NoError(t, err)
			_, err = inner.Exec(ctx, "insert into ledger values (2)")
			require.NoError(t, err)
			require.NoError(t, inner.Rollback(ctx))
			_, err = tx.Exec(ctx, "insert into ledger values (1)")
			return err
		},
		"a savepoint later": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into ledger values ($1)", 1)
			require.NoError(t, err)
			return pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
				_, err := inner.Exec(ctx, "delete from ledger where n = 0")
				return err
			})
		},
		"a copy": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"ledger"}, []string{"n"}, pgx.CopyFromRows([][]any{{1}}))
			return err
		},
		"a batch": func(ctx context.Context, tx pgx.Tx) error {
			var batch pgx.Batch
			batch.Queue("insert into ledger values ($1)", 2)
			batch.Queue("update ledger set n = 1 where n = 2")
			return tx.SendBatch(ctx, &batch).Close()
		},
		"a prepared statement": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Prepare(ctx, "put", "insert into ledger values ($1)")
			require.NoError(t, err)
			_, err = tx.Exec(ctx, "put", 1)
			require.NoError(t, err)
			return tx.Conn().Deallocate(ctx, "put")
		},
		"a large object": func(ctx context.Context, tx pgx.Tx) error {
			objects := tx.LargeObjects()
			oid, err := objects.Create(ctx, 0)
			require.NoError(t, err)
			object, err := objects.Open(ctx, oid, pgx.LargeObjectModeWrite)
			require.NoError(t, err) // this works only in a transaction
			_, err = io.WriteString(object, "text")
			require.NoError(t, err)
			_, err = tx.Exec(ctx, "insert into ledger values ($1)", 1)
			return err
		},
		"the connection": func(ctx context.Context, tx pgx.Tx) error {
			require.EqualValues(t, 'T', tx.Conn().PgConn().TxStatus())
			_, err := tx.Conn().Exec(ctx, "insert into ledger values ($1)", 1)
			return err
		},
	} {
		for _, committed := range []bool{false, true} {
			s := sqlsession.ForStep(pool, "serializable")
			tx, err := s.Tx(t.Context())
			require.NoError(t, err)
			require.NoError(t, use(t.Context(), tx), name)
			var level string
			require.NoError(t, tx.QueryRow(t.Context(), "show transaction_isolation").Scan(&level))
			require.Equal(t, "serializable", level, name)
			open, failure := s.Finish()
			require.True(t, open, name)
			require.Nil(t, failure, name)
			if committed {
				require.NoError(t, s.Commit(t.Context(), record), name)
				require.Equal(t, []int32{1, 100}, written(t, pool), name)
			} else {
				s.Rollback(t.Context())
				require.Empty(t, written(t, pool), name)
			}
			_, err = pool.Exec(t.Context(), "truncate ledger")
			require.NoError(t, err)
		}
	}
}

// A first statement that cannot be prepared fails the transaction as a later one
// does, although the transaction has not begun.
func TestFirstStatementFails(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	for name, sql := range map[string]string{
		"when prepared":        "insert into no_such_table values ($1)",
		"when carried out":     "insert into ledger values ($1), (0), (0)",
		"without an argument":  "insert into no_such_table values (1)",
		"with too many values": "insert into ledger values ($1, $2)",
	} {
		s := sqlsession.ForStep(pool, "")
		tx, err := s.Tx(t.Context())
		require.NoError(t, err)
		var args []any
		if name != "without an argument" {
			args = []any{1}
		}
		_, err = tx.Exec(t.Context(), sql, args...)
		require.Error(t, err, name)
		_, again := tx.Exec(t.Context(), "insert into ledger values ($1)", 2)
		require.Error(t, again, name)
		require.Error(t, tx.QueryRow(t.Context(), "select $1::int", 2).Scan(nil), name)
		open, failure := s.Finish()
		if !open {
			require.NotNil(t, failure, name)
			s.Rollback(t.Context())
		} else {
			require.Error(t, s.Commit(t.Context(), record), name)
		}
		require.Empty(t, written(t, pool), name)
	}
}

// A connection that died while it was idle in the pool is replaced. The handler
// does not notice.
func TestFirstUseOfADeadConnection(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	for sql, args := range map[string][]any{"insert into ledger values ($1)": {1}, "insert into ledger values (1)": nil} {
		s := sqlsession.ForStep(pool, "")
		tx, err := s.Tx(t.Context())
		require.NoError(t, err)
		_, err = pool.Exec(t.Context(), `select pg_terminate_backend(pid, 60000) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), sql, args...)
		require.NoError(t, err, sql)
		s.Finish()
		require.NoError(t, s.Commit(t.Context(), record))
		require.Equal(t, []int32{1, 100}, written(t, pool))
		_, err = pool.Exec(t.Context(), "truncate ledger")
		require.NoError(t, err)
	}
}

// A handler may keep its transaction and its savepoints. After the step they only
// return errors: another step may use the connection.
func TestTransactionAfterItsStep(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.ForStep(pool, "")
	tx, err := s.Tx(t.Context())
	require.NoError(t, err)
	nested, err := tx.Begin(t.Context())
	require.NoError(t, err)
	_, err = nested.Exec(t.Context(), "insert into ledger values ($1)", 1)
	require.NoError(t, err)
	deeper, err := nested.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, deeper.Rollback(t.Context()))
	require.NoError(t, nested.Commit(t.Context()))
	left, err := tx.Begin(t.Context())
	require.NoError(t, err)
	rows, err := tx.Query(t.Context(), "select n from ledger")
	require.NoError(t, err)
	for rows.Next() {
	}
	require.NoError(t, rows.Err())
	s.Finish()
	require.NoError(t, s.Commit(t.Context(), record))

	other := sqlsession.ForStep(pool, "") // on the same connection
	next, err := other.Tx(t.Context())
	require.NoError(t, err)
	_, err = next.Exec(t.Context(), "insert into ledger values ($1)", 2)
	require.NoError(t, err)
	for _, kept := range []pgx.Tx{tx, left, nested} {
		_, err = kept.Exec(t.Context(), "delete from ledger")
		require.ErrorIs(t, err, sqlsession.ErrOver)
		_, err = kept.Query(t.Context(), "delete from ledger")
		require.ErrorIs(t, err, sqlsession.ErrOver)
		require.ErrorIs(t, kept.QueryRow(t.Context(), "delete from ledger returning 1").Scan(nil), sqlsession.ErrOver)
		_, err = kept.Begin(t.Context())
		require.ErrorIs(t, err, sqlsession.ErrOver)
		_, err = kept.CopyFrom(t.Context(), pgx.Identifier{"ledger"}, []string{"n"}, pgx.CopyFromRows([][]any{{3}}))
		require.ErrorIs(t, err, sqlsession.ErrOver)
		_, err = kept.Prepare(t.Context(), "late", "delete from ledger")
		require.ErrorIs(t, err, sqlsession.ErrOver)
		var batch pgx.Batch
		batch.Queue("delete from ledger")
		require.ErrorIs(t, kept.SendBatch(t.Context(), &batch).Close(), sqlsession.ErrOver)
		objects := kept.LargeObjects()
		_, err = objects.Create(t.Context(), 0)
		require.Error(t, err)
		require.Nil(t, kept.Conn())
	}
	require.False(t, rows.Next())
	require.ErrorIs(t, rows.Scan(nil), sqlsession.ErrOver)
	rows.Close()
	require.ErrorIs(t, left.Commit(t.Context()), sqlsession.ErrOver)
	require.ErrorIs(t, left.Rollback(t.Context()), sqlsession.ErrOver)
	other.Finish()
	require.NoError(t, other.Commit(t.Context(), func(*pgx.Batch) {}))
	require.Equal(t, []int32{1, 2, 100}, written(t, pool))
}

// A statement whose context never ends is cancelled when the step's context ends.
func TestStatementsEndWithTheStepsContext(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	for name, run := range map[string]func(pgx.Tx) error{
		"first": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), "select pg_sleep($1)", 60)
			return err
		},
		"second": func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), "insert into ledger values (1)")
			require.NoError(t, err)
			return tx.QueryRow(context.Background(), "select pg_sleep(60)").Scan(nil)
		},
	} {
		s := sqlsession.ForStep(pool, "")
		step, end := context.WithCancel(t.Context())
		s.Until(step)
		tx, err := s.Tx(step)
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- run(tx) }()
		for asleep := false; !asleep; {
			require.NoError(t, pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
				where datname = current_database() and pid <> pg_backend_pid() and wait_event = 'PgSleep')`).Scan(&asleep))
		}
		end()
		require.Error(t, <-ended, name)
		s.Finish()
		s.Rollback(t.Context())
		require.Empty(t, written(t, pool), name)
		require.Eventually(t, func() bool { return pool.Stat().AcquiredConns() == 0 }, time.Minute, time.Millisecond)
	}
}

// A handler may keep the connection itself, or large objects. The session cannot
// see when they are used, so it closes the connection with the step.
func TestConnectionThatAHandlerKept(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.ForStep(pool, "")
	tx, err := s.Tx(t.Context())
	require.NoError(t, err)
	objects := tx.LargeObjects()
	s.Finish()
	require.NoError(t, s.Commit(t.Context(), record))
	other := sqlsession.ForStep(pool, "")
	next, err := other.Tx(t.Context())
	require.NoError(t, err)
	_, err = next.Exec(t.Context(), "insert into ledger values ($1)", 2)
	require.NoError(t, err)
	_, err = objects.Create(t.Context(), 0)
	require.Error(t, err)
	conn := next.Conn()
	other.Finish()
	require.NoError(t, other.Commit(t.Context(), func(*pgx.Batch) {}))
	require.True(t, conn.IsClosed())
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from pg_largeobject_metadata").Scan(&n))
	require.Zero(t, n)

	// If the pool's connection was dead, Conn returns the one that replaced it.
	s = sqlsession.ForStep(pool, "")
	tx, err = s.Tx(t.Context())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `select pg_terminate_backend(pid, 60000) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`)
	require.NoError(t, err)
	require.EqualValues(t, 'T', tx.Conn().PgConn().TxStatus())
	s.Finish()
	s.Rollback(t.Context())
}

// counting is a context that counts the functions that wait for its end.
type counting struct {
	context.Context
	waiting atomic.Int64
}

func (c *counting) AfterFunc(f func()) func() bool {
	c.waiting.Add(1)
	stop := context.AfterFunc(c.Context, f)
	return func() bool {
		stopped := stop()
		if stopped {
			c.waiting.Add(-1)
		}
		return stopped
	}
}

// A statement with a context of its own leaves no waiter on the step's context.
func TestStatementsLeaveNothingOnTheStepsContext(t *testing.T) {
	t.Parallel()
	ending, end := context.WithCancel(t.Context())
	defer end()
	step := &counting{Context: ending}
	s := sqlsession.ForStep(ledger(t), "")
	s.Until(step)
	tx, err := s.Tx(context.Background())
	require.NoError(t, err)
	for name, use := range map[string]func(ctx context.Context) error{
		"exec": func(ctx context.Context) error { _, err := tx.Exec(ctx, "select 1"); return err },
		"rows": func(ctx context.Context) error {
			rows, err := tx.Query(ctx, "select 1")
			require.NoError(t, err)
			_, err = pgx.CollectRows(rows, pgx.RowTo[int])
			return err
		},
		"a row":  func(ctx context.Context) error { var n int; return tx.QueryRow(ctx, "select 1").Scan(&n) },
		"no row": func(ctx context.Context) error { require.Error(t, tx.QueryRow(ctx, "").Scan(nil)); return nil },
		"a batch": func(ctx context.Context) error {
			var batch pgx.Batch
			batch.Queue("select 1")
			return tx.SendBatch(ctx, &batch).Close()
		},
		"a savepoint": func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error { _, err := inner.Exec(ctx, "select 1"); return err })
		},
		"the connection": func(context.Context) error { tx.Conn(); return nil },
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		require.NoError(t, use(ctx), name)
		require.Zero(t, step.waiting.Load(), name)
		cancel()
	}
	s.Finish()
	s.Rollback(t.Context())
}

// The wait for a connection ends with the step.
func TestWaitingForAConnectionEndsWithTheStep(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	for range pool.Config().MaxConns {
		c, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		defer c.Release()
	}
	s := sqlsession.ForStep(pool, "")
	step, end := context.WithCancel(t.Context())
	s.Until(step)
	waited := make(chan error, 1)
	go func() { _, err := s.Tx(context.Background()); waited <- err }()
	require.Eventually(t, func() bool {
		return pool.Stat().EmptyAcquireCount() > 0 || len(waited) > 0 || pool.Stat().AcquiredConns() == pool.Config().MaxConns
	},
		time.Minute, time.Millisecond)
	end()
	require.Error(t, <-waited)
	s.Finish()
	s.Rollback(t.Context())
}
