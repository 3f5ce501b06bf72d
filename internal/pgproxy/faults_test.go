package pgproxy_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

func TestNothingCrossesAStalledConnection(t *testing.T) {
	t.Parallel()
	b := start(t)
	conn := b.connect("stalled")
	b.Stall()
	done := later(func() error { return exec(t.Context(), conn, "insert into things values (1)") })
	b.requireSilence(done)
	require.Zero(t, b.rows())
	require.Equal(t, 1, b.sessions("stalled"))
	b.Resume()
	require.NoError(t, <-done)
	require.Equal(t, 1, b.rows())
}

func TestAnAnswerIsHeldBack(t *testing.T) {
	t.Parallel()
	b := start(t)
	conn := b.connect("stalled")
	const gate = 1
	b.ask("select count(pg_advisory_lock($1))", gate)
	done := later(func() error { return exec(t.Context(), conn, "insert into things select count(pg_advisory_lock(1))") })
	b.eventually(func() bool {
		return b.ask("select count(*) from pg_locks where locktype = 'advisory' and not granted") == 1
	})
	b.Stall(pgproxy.Named("stalled"))
	b.ask("select count(pg_advisory_unlock($1))", gate)
	b.eventually(func() bool { return b.rows() == 1 })
	b.requireSilence(done)
	b.Resume()
	require.NoError(t, <-done)
}

func TestOnlyTheChosenConnectionsStall(t *testing.T) {
	t.Parallel()
	b := start(t)
	stalled, other := b.connect("stalled"), b.connect("other")
	b.Stall(pgproxy.Named("stalled"))
	done := later(func() error { return stalled.Ping(t.Context()) })
	b.requireSilence(done)
	require.NoError(t, other.Ping(t.Context()))
	require.NoError(t, b.connect("stalled").Ping(t.Context()), "one that came later")
	b.Resume(pgproxy.Named("other"))
	b.requireSilence(done)
	b.Resume(pgproxy.Named("stalled"))
	require.NoError(t, <-done)
}

func TestANewConnectionIsSilentWhileEverythingIsStalled(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.Stall()
	done := later(func() error {
		_, err := b.tryConnect(t.Context(), "late")
		return err
	})
	b.eventually(func() bool { return b.Accepted() == 1 })
	b.requireSilence(done)
	require.Zero(t, b.sessions("late"))
	b.Resume()
	require.NoError(t, <-done)
	require.Equal(t, 1, b.sessions("late"))
}

func TestAStalledConnectionPassesNoCloseOn(t *testing.T) {
	t.Parallel()
	b := start(t)
	ends, closes := b.connect("server ends"), b.connect("client closes")
	b.Stall()
	done := later(func() error { return exec(t.Context(), ends, "select 1") })
	b.ask("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'server ends'")
	b.eventually(func() bool { return b.sessions("server ends") == 0 })
	discard(closes)
	b.requireSilence(done)
	require.Equal(t, 1, b.sessions("client closes"))
	require.Len(t, b.Open(), 2)
	b.Resume()
	require.Equal(t, "57P01", sqlState(t, <-done))
	b.eventually(func() bool { return b.sessions("client closes") == 0 && len(b.Open()) == 0 })
}

// A stall may fall into the middle of a message, also while a slow reader makes a
// write wait.
func TestNoByteIsLostByStalls(t *testing.T) {
	t.Parallel()
	b := start(t)
	conn := b.connect("reader")
	rows, err := conn.Query(t.Context(), muchSQL)
	require.NoError(t, err)
	b.awaitStuck("reader")
	b.Stall() // returns although nobody reads
	b.Resume()
	n := 0
	done := later(func() error {
		for rows.Next() {
			n++
			var i int
			var text string
			if err := rows.Scan(&i, &text); err != nil {
				return err
			}
			if i != n || len(text) != 32000 {
				return context.Canceled
			}
		}
		return rows.Err()
	})
	for {
		select {
		case err := <-done:
			require.NoError(t, err)
			require.Equal(t, 1000, n)
			return
		default:
			b.Stall()
			b.Resume()
		}
	}
}

const muchSQL = "select i, repeat(md5(i::text), 1000) from generate_series(1, 1000) i"

// awaitStuck waits until the server cannot write any more.
func (b *bench) awaitStuck(name string) {
	b.t.Helper()
	b.eventually(func() bool {
		return b.ask("select count(*) from pg_stat_activity where application_name = $1 and wait_event = 'ClientWrite'", name) == 1
	})
}

func TestAConnectionThatNobodyReadsBecomesHalfOpen(t *testing.T) {
	t.Parallel()
	b := start(t)
	conn := b.connect("reader")
	rows, err := conn.Query(t.Context(), muchSQL)
	require.NoError(t, err)
	b.awaitStuck("reader")
	b.HalfOpen()
	b.eventually(func() bool { return b.sessions("reader") == 0 })
	hangUp(conn)
	rows.Close()
	require.Error(t, rows.Err())
	b.eventually(func() bool { return len(b.Open()) == 0 })
}

func TestCutConnectionsAreReset(t *testing.T) {
	t.Parallel()
	b := start(t)
	cut, kept := b.connect("cut"), b.connect("kept")
	b.Cut(pgproxy.Named("cut"))
	require.Len(t, b.Open(), 1)
	require.ErrorContains(t, cut.Ping(t.Context()), "connection reset")
	require.NoError(t, kept.Ping(t.Context()))
	b.eventually(func() bool { return b.sessions("cut") == 0 })
	b.Stall()
	done := later(func() error { return kept.Ping(t.Context()) })
	b.requireSilence(done)
	b.Cut()
	require.ErrorContains(t, <-done, "connection reset")
	require.Empty(t, b.Open(pgproxy.Named("kept")))
	b.Resume() // for pgx, which asks to cancel the statement
}

func TestAHalfOpenConnectionIsSilent(t *testing.T) {
	t.Parallel()
	b := start(t)
	listener, other := b.connect("engine"), b.connect("engine")
	require.NoError(t, exec(t.Context(), listener, "listen news"))
	done := later(func() error {
		_, err := listener.WaitForNotification(t.Context())
		return err
	})
	b.HalfOpen(pgproxy.Named("engine"), pgproxy.Listened)
	b.eventually(func() bool { return b.sessions("engine") == 1 })
	require.NoError(t, other.Ping(t.Context()))
	require.NoError(t, b.connect("new").Ping(t.Context()))
	require.NoError(t, exec(t.Context(), other, "notify news"))
	b.requireSilence(done)
	halfOpen := func(c pgproxy.Connection) bool { return c.HalfOpen }
	require.Len(t, b.Open(halfOpen), 1)
	hangUp(listener)
	require.Error(t, <-done)
	b.eventually(func() bool { return len(b.Open(halfOpen)) == 0 })
}

func TestAHalfOpenConnectionAnswersNothing(t *testing.T) {
	t.Parallel()
	b := start(t)
	conn := b.connect("old")
	b.HalfOpen()
	done := later(func() error { return exec(t.Context(), conn, "insert into things values (1)") })
	b.requireSilence(done)
	hangUp(conn)
	require.Error(t, <-done)
	require.Zero(t, b.rows())
}

func TestAStalledConnectionBecomesHalfOpen(t *testing.T) {
	t.Parallel()
	b := start(t)
	conn := b.connect("old")
	b.Stall()
	ctx, cancel := context.WithCancel(t.Context())
	done := later(func() error { return exec(t.Context(), conn, "insert into things values (1)") })
	connecting := later(func() error {
		_, err := b.tryConnect(ctx, "too late")
		return err
	})
	b.eventually(func() bool { return b.Accepted() == 2 })
	b.HalfOpen()
	b.Resume()
	b.eventually(func() bool { return b.sessions("old") == 0 })
	require.NoError(t, b.connect("new").Ping(t.Context()))
	b.requireSilence(done)
	b.requireSilence(connecting)
	cancel()
	hangUp(conn)
	require.Error(t, <-done)
	require.ErrorIs(t, <-connecting, context.Canceled)
	require.Zero(t, b.rows())
	b.eventually(func() bool { return len(b.Open()) == 1 })
}

func TestNewConnectionsAreRefused(t *testing.T) {
	t.Parallel()
	b := start(t)
	old := b.connect("old")
	b.Refuse()
	_, err := pgx.Connect(t.Context(), b.url)
	require.ErrorContains(t, err, "connection reset")
	require.NoError(t, old.Ping(t.Context()))
	require.Equal(t, 1, b.Accepted())
	require.Positive(t, b.Refused())
	b.Accept()
	require.NoError(t, b.connect("new").Ping(t.Context()))
}
