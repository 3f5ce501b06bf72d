package sqlsession_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// If a goroutine still reads rows when the step ends, the step fails, and the
// goroutine gets an error.
func TestRowsStillReadWhenTheStepEnds(t *testing.T) {
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
