package pgtest_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
)

var setUps atomic.Int64

func setUp(ctx context.Context, conn *pgx.Conn) error {
	setUps.Add(1)
	_, err := conn.Exec(ctx, "create table things (id bigint primary key)")
	return err
}

func TestDatabasesAreFreshAndApart(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t, pgtest.WithTemplate(setUp))
			_, err := pool.Exec(t.Context(), "insert into things values (1)")
			require.NoError(t, err)
			var n int
			require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from things").Scan(&n))
			require.Equal(t, 1, n)
			require.EqualValues(t, 1, setUps.Load())
		})
	}
}

func TestWithoutATemplateADatabaseIsEmpty(t *testing.T) {
	t.Parallel()
	var n int
	pool := pgtest.New(t)
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from pg_class where relnamespace = 'public'::regnamespace").Scan(&n))
	require.Zero(t, n)
}

// recorder is a test that records its failures.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

// soon is how long a test waits for the end of a connection that does not end.
const soon = 100 * time.Millisecond

func TestALeakedConnectionFailsTheTest(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	url := pgtest.URL(r, pgtest.WithPatience(soon))
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "select 'leaked'")
	require.NoError(t, err)
	r.end()
	require.Len(t, r.errors, 1)
	require.Contains(t, r.errors[0], "left 1 connections open")
	require.Contains(t, r.errors[0], "select 'leaked'")

	// The connection has been ended, and the database dropped.
	require.Error(t, conn.Ping(t.Context()))
	require.NoError(t, conn.Close(t.Context()))
	_, err = pgx.Connect(t.Context(), url)
	require.ErrorContains(t, err, "does not exist")
}

func TestAConnectionNotGivenBackFailsTheTest(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	pool := pgtest.New(r, pgtest.WithPatience(soon))
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	began := time.Now()
	r.end()
	require.Less(t, time.Since(began), time.Minute)
	require.NotEmpty(t, r.errors)
	require.Contains(t, r.errors[0], "were not released")
	conn.Release()
}

func TestASetUpThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	tried := make(chan string, 1)
	go func() { // FailNow ends the goroutine
		r := &failing{recorder{TB: t}, tried}
		defer close(tried)
		pgtest.New(r, pgtest.WithTemplate(func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "create nonsense")
			return err
		}))
	}()
	require.Contains(t, <-tried, `syntax error at or near "nonsense"`)
}

// failing sends its first failure to tried and ends its goroutine.
type failing struct {
	recorder
	tried chan string
}

func (f *failing) FailNow() {
	f.tried <- f.errors[0]
	runtime.Goexit()
}
