package sqlsession_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

func ledger(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return pgtest.New(t, pgtest.WithTemplate(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "create table ledger (n int primary key)")
		return err
	}))
}

func written(t *testing.T, pool *pgxpool.Pool) (n []int32) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "select coalesce(array_agg(n order by n), '{}') from ledger").Scan(&n))
	return n
}

func record(batch *pgx.Batch) { batch.Queue("insert into ledger values (100)") }

// Whatever a handler does first with its transaction, the transaction has begun
// before it, and commits with what the engine records.
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
			require.NoError(t, err) // which is possible in a transaction only
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

// A statement that cannot even be prepared spoils the transaction as one that
// fails does, although nothing had begun.
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

// What the engine records decides: if it fails, the handler's work is gone.
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
	require.Zero(t, pool.Stat().AcquiredConns())
}

// A handler that asked for its transaction and did nothing with it leaves
// nothing to commit.
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

// A connection of the pool's that died while nobody used it is not the
// handler's affair.
func TestFirstUseOfADeadConnection(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	for sql, args := range map[string][]any{"insert into ledger values ($1)": {1}, "insert into ledger values (1)": nil} {
		s := sqlsession.ForStep(pool, "")
		tx, err := s.Tx(t.Context())
		require.NoError(t, err)
		_, err = pool.Exec(t.Context(), `select pg_terminate_backend(pid, 5000) from pg_stat_activity
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

// A transaction that a handler kept, and its savepoints, do nothing once the
// step is over: the connection may be in another step's hands.
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

// A statement that was given a context without an end ends with the step's.
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
		require.Eventually(t, func() bool { return pool.Stat().AcquiredConns() == 0 }, 10*time.Second, time.Millisecond)
	}
}

// Of the connection itself, and of what pgx makes of it, the session does not
// know who uses it when: nobody else gets it.
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

	// The pool's connection was dead: it is the one that took its place.
	s = sqlsession.ForStep(pool, "")
	tx, err = s.Tx(t.Context())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `select pg_terminate_backend(pid, 5000) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`)
	require.NoError(t, err)
	require.EqualValues(t, 'T', tx.Conn().PgConn().TxStatus())
	s.Finish()
	s.Rollback(t.Context())
}

// Rows that a goroutine reads while the step ends are the step's failure, and
// are not read any more.
func TestRowsThatAreReadWhenTheStepEnds(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	for batched := range 2 {
		for range 2 {
			s := sqlsession.ForStep(pool, "")
			step, end := context.WithCancel(t.Context())
			s.Until(step)
			tx, err := s.Tx(step)
			require.NoError(t, err)
			_, err = tx.Exec(step, "insert into ledger values (1)")
			require.NoError(t, err)
			began, read := make(chan struct{}), make(chan error, 1)
			go func() {
				var rows pgx.Rows
				var err error
				if batched == 1 {
					var batch pgx.Batch
					batch.Queue("select pg_sleep(0.001), n from generate_series(1, 100000) n")
					answers := tx.SendBatch(context.Background(), &batch)
					defer answers.Close()
					rows, err = answers.Query()
				} else {
					rows, err = tx.Query(context.Background(), "select pg_sleep(0.001), n from generate_series(1, 100000) n")
				}
				for i := 0; err == nil && rows.Next(); i++ {
					if i == 3 {
						close(began)
					}
				}
				read <- rows.Err()
			}()
			<-began
			end()
			_, failure := s.Finish()
			require.ErrorContains(t, failure, "the statement was cancelled")
			s.Rollback(t.Context())
			require.Error(t, <-read)
		}
	}
	require.Empty(t, written(t, pool))
}

// counting is a context that counts what waits for its end.
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

// A statement with a context of its own leaves nothing on the step's.
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

// source is rows that are asked for one by one.
type source func() bool

func (s source) Next() bool           { return s() }
func (source) Values() ([]any, error) { return []any{7}, nil }
func (source) Err() error             { return nil }

// A source of rows cannot use the transaction that it is copied into, and does
// not keep a step from its end.
func TestSourcesOfACopy(t *testing.T) {
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
	s.Done(false)
	close(goOn)
	require.Error(t, <-copied)
	require.Eventually(t, func() bool { return pool.Stat().AcquiredConns() == 0 }, 10*time.Second, time.Millisecond)
	require.Empty(t, written(t, pool))
}

// A handler that waits for a connection does not keep its step from its end.
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
		10*time.Second, time.Millisecond)
	end()
	require.Error(t, <-waited)
	s.Finish()
	s.Rollback(t.Context())
}

// The step fails with the first error, not with what PostgreSQL says of all
// statements after it; and not at all, if a savepoint was gone back to.
func TestErrorThatAHandlerDidNotPassOn(t *testing.T) {
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
