package sqlsession_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
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
