package pgproxy_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

func TestTrafficIsCounted(t *testing.T) {
	t.Parallel()
	prepare := func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Prepare(ctx, "insert", "insert into things values ($1)")
		return err
	}
	simple := func(sql string) func(context.Context, *pgx.Conn) error {
		return func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
			return err
		}
	}
	batch := func(texts ...string) func(context.Context, *pgx.Conn) error {
		return func(ctx context.Context, conn *pgx.Conn) error {
			var batch pgx.Batch
			for _, sql := range texts {
				batch.Queue(sql)
			}
			return conn.SendBatch(ctx, &batch).Close()
		}
	}
	transaction := func(end func(pgx.Tx, context.Context) error) func(context.Context, *pgx.Conn) error {
		return func(ctx context.Context, conn *pgx.Conn) error {
			tx, err := conn.Begin(ctx)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "insert into things values ($1)", 1); err != nil {
				return err
			}
			return end(tx, ctx)
		}
	}
	for name, c := range map[string]struct {
		do    func(context.Context, *pgx.Conn) error
		fails bool
		want  pgproxy.Traffic
	}{
		"nothing":             {simple(""), false, pgproxy.Traffic{}},
		"a ping":              {func(ctx context.Context, conn *pgx.Conn) error { return conn.Ping(ctx) }, false, pgproxy.Traffic{}},
		"preparing":           {prepare, false, pgproxy.Traffic{}},
		"a simple query":      {simple("select 1"), false, pgproxy.Traffic{Statements: 1, RoundTrips: 1, Commits: 1}},
		"many in one query":   {simple("select 1; insert into things values (1); select 2"), false, pgproxy.Traffic{Statements: 3, RoundTrips: 1, Commits: 1}},
		"a query that fails":  {simple("select 1; select 1/0"), true, pgproxy.Traffic{Statements: 1, RoundTrips: 1}},
		"a batch":             {batch("select 1", "insert into things values (1)"), false, pgproxy.Traffic{Statements: 2, RoundTrips: 1, Commits: 1}},
		"a batch with COMMIT": {batch("begin", "insert into things values (1)", "commit"), false, pgproxy.Traffic{Statements: 3, RoundTrips: 1, Commits: 1}},
		"a savepoint is none": {batch("begin", "savepoint a", "rollback to a", "commit"), false, pgproxy.Traffic{Statements: 4, RoundTrips: 1, Commits: 1}},
		"a transaction":       {transaction(pgx.Tx.Commit), false, pgproxy.Traffic{Statements: 3, RoundTrips: 3, Commits: 1}},
		"one that rolls back": {transaction(pgx.Tx.Rollback), false, pgproxy.Traffic{Statements: 3, RoundTrips: 3}},
		"the last one counts": {simple("begin; savepoint a; rollback to a; commit; begin; rollback"), false, pgproxy.Traffic{Statements: 6, RoundTrips: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			other := b.connect("other")
			require.NoError(t, exec(t.Context(), other, "select 1"))
			conn := b.connect("client")
			before := b.Traffic()
			err := c.do(t.Context(), conn)
			require.Equal(t, c.fails, err != nil, err)
			require.Equal(t, c.want, b.Traffic(pgproxy.Named("client")))
			require.Equal(t, c.want, b.Traffic().Minus(before))
			discard(conn)
			b.eventually(func() bool { return len(b.Open(pgproxy.Named("client"))) == 0 })
			require.Equal(t, c.want, b.Traffic(pgproxy.Named("client")), "after the end of the connection")
		})
	}
}
