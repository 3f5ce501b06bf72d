package sqlsession_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// left is a context that has ended, where whoever waits for it learns so too late.
type left struct{ context.Context }

func (left) Err() error { return context.Canceled }

// What comes for one who does not wait any more is the next one's.
func TestANotificationThatNobodyTookIsKept(t *testing.T) {
	t.Parallel()
	pool := ledger(t)
	s := sqlsession.Plain(pool)
	defer s.Close(context.Background())
	_, err := s.Exec(t.Context(), &sqlsession.Statement{SQL: "listen news"})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "select pg_notify('news', 'one'), pg_notify('news', 'two')")
	require.NoError(t, err)

	_, err = s.Notified(left{t.Context()}, 5*time.Second)
	require.Error(t, err)
	for _, payload := range []string{"one", "two"} {
		n, err := s.Notified(t.Context(), 5*time.Second)
		require.NoError(t, err)
		require.Equal(t, payload, n.Payload)
	}
}
