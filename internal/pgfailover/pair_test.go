package pgfailover_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/leaktest"
	"github.com/tasker-rb/tasker-rb/internal/pgfailover"
	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func exec(t *testing.T, db interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, query string) []int {
	t.Helper()
	rows, err := db.Query(t.Context(), query)
	require.NoError(t, err)
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(t, err)
	return numbers
}

func open(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// awaitWrites waits until a statement that writes succeeds: a pool notices a lost
// connection only when it uses it.
func awaitWrites(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := pool.Exec(t.Context(), "create temporary table writes ()")
		return err == nil
	}, 2*time.Minute, time.Millisecond)
}

// Three failovers of one pair: each new primary gets a replica of its own.
func TestWhatTheReplicaDidNotGetIsLost(t *testing.T) {
	t.Parallel()
	pair := pgfailover.Start(t, nil)
	pool := open(t, pair.URL())
	exec(t, pool, "create table things (id int)")
	kept := []int{}
	for i := range 3 {
		exec(t, pool, "insert into things select 2 * count(*) from things")
		kept = append(kept, 2*i)
		pair.AwaitReplica()
		require.Equal(t, kept, exec(t, open(t, pair.ReplicaURL()), "select id from things order by id"))
		url := pair.URL()
		pair.Failover(func() {
			exec(t, pool, "insert into things values (999)")
			require.Contains(t, exec(t, pool, "select id from things"), 999)
		})
		require.Equal(t, url, pair.URL())
		awaitWrites(t, pool)
		require.Equal(t, kept, exec(t, pool, "select id from things order by id"))
		if i < 2 {
			pair.AddReplica()
		}
	}
}

func TestALaggingReplicaCatchesUp(t *testing.T) {
	t.Parallel()
	pair := pgfailover.Start(t, map[string]string{"work_mem": "7MB"})
	pool, replica := open(t, pair.URL()), open(t, pair.ReplicaURL())
	pair.Stream.Stall()
	exec(t, pool, "create table things as select 1 as id")
	_, err := replica.Exec(t.Context(), "table things")
	require.ErrorContains(t, err, "does not exist")
	pair.Stream.Resume()
	pair.AwaitReplica()
	require.Equal(t, []int{1}, exec(t, replica, "table things"))
	for _, url := range []string{pair.URL(), pair.ReplicaURL()} {
		var memory string
		require.NoError(t, open(t, url).QueryRow(t.Context(), "show work_mem").Scan(&memory))
		require.Equal(t, "7MB", memory)
	}
}

// The host of the primary is lost: its connections stay silent.
func TestAHostIsLost(t *testing.T) {
	t.Parallel()
	pair := pgfailover.Start(t, nil)
	conn, err := pgx.Connect(t.Context(), pair.URL())
	require.NoError(t, err)
	pair.Failover(func() {
		pair.Clients.Refuse()
		pair.Clients.HalfOpen()
	})
	silent := make(chan error, 1)
	go func() { silent <- conn.Ping(t.Context()) }()
	pool := open(t, pair.URL())
	for range 100 {
		exec(t, pool, "select 1")
	}
	require.Empty(t, silent)
	require.Len(t, pair.Clients.Open(func(c pgproxy.Connection) bool { return c.HalfOpen }), 1)
	require.NoError(t, conn.PgConn().Conn().Close())
	require.Error(t, <-silent)
}
