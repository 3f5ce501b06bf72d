package orchestration_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A commit that notifies waits for others that do. The engine's session opens although
// that takes long, and although the database lets an application's statements wait for no
// lock.
func TestASessionOpensWhileOthersNotify(t *testing.T) {
	t.Parallel()
	pool, _ := privateDatabase(t, map[string]string{"synchronous_commit": "local", "synchronous_standby_names": "nobody", "wal_level": "replica", "max_wal_senders": "1"})
	notifier, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer notifier.Release()
	_, err = notifier.Exec(t.Context(), "set synchronous_commit = on")
	require.NoError(t, err)
	notified := make(chan error, 1)
	go func() { // its commit waits for a standby that is not there
		_, err := notifier.Exec(t.Context(), "create table noise (); notify news")
		notified <- err
	}()
	holds := func(condition string) func() bool {
		return func() (is bool) {
			require.NoError(t, pool.QueryRow(t.Context(), "select exists ("+condition+")").Scan(&is))
			return is
		}
	}
	require.Eventually(t, holds("select from pg_stat_activity where wait_event = 'SyncRep'"), patience, time.Millisecond)
	_, err = pool.Exec(t.Context(), "alter database tasker set lock_timeout = '1ms'")
	require.NoError(t, err)
	limited, err := pgxpool.NewWithConfig(t.Context(), pool.Config()) // its connections have the limit
	require.NoError(t, err)
	t.Cleanup(limited.Close)
	opened := make(chan error, 1)
	go func() {
		e, err := orchestration.New(t.Context(), orchestration.Config{Pool: limited, Handlers: resolver{}})
		if err == nil {
			err = e.Close()
		}
		opened <- err
	}()
	waits := holds(`select from pg_stat_activity where wait_event_type = 'Lock'
		and query_start < clock_timestamp() - interval '3.5 s'`) // longer than a notification may take
	require.Eventually(t, func() bool { return len(opened) > 0 || waits() }, patience, time.Millisecond)
	_, err = pool.Exec(t.Context(), "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'")
	require.NoError(t, err)
	require.NoError(t, <-notified)
	require.NoError(t, <-opened)
}
