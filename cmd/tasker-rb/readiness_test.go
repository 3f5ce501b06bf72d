package main

import (
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

// leadNowhere cuts the connections of a proxy. New ones lead to a server that hangs up;
// tries counts them.
func leadNowhere(t *testing.T, proxy *pgproxy.Proxy) (tries *atomic.Int64) {
	t.Helper()
	tries = &atomic.Int64{}
	nobody := listen(t, func(conn net.Conn) {
		tries.Add(1)
		_ = conn.Close()
	})
	proxy.SetTarget("postgres://" + nobody + "/x")
	proxy.Cut()
	return tries
}

// The worker loses the way to the database, and says once that it takes no tasks. When
// it has it again, it says so, and goes on.
func TestWorkerSaysThatItIsNotReady(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	proxy := pgproxy.Start(t, p.url)
	far := *p
	far.url = proxy.URL(p.url)
	worker, out := startWorker(t, &far)
	says := func(what string) func() bool { return func() bool { return strings.Contains(out.String(), what) } }
	require.Eventually(t, says("working on "), patience, 5*time.Millisecond, out)
	tries := leadNowhere(t, proxy)
	require.Eventually(t, says("cannot open a session"), patience, 5*time.Millisecond, out)
	said := tries.Load()
	require.Eventually(t, func() bool { return tries.Load() > said+20 }, patience, 5*time.Millisecond, out)
	proxy.SetTarget(p.url)
	require.Eventually(t, says("has a session again"), patience, 5*time.Millisecond, out)
	require.Zero(t, p.run("submit", "one.yaml").code)
	require.Eventually(t, func() bool { return done(t, p, "complete") == 1 }, patience, 20*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	requireInOrder(t, out.String(), "the engine lost its session, and with it its claims",
		"ERROR the engine cannot open a session, and so it takes no tasks; trying again: the database at "+redact(far.url)+
			" cannot be reached: ", "unexpected EOF. Start that server, or correct DATABASE_URL.", " the engine has a session again\n")
	require.Equal(t, 1, strings.Count(out.String(), "cannot open a session"), out)
}

// The way of the pool is gone, and the way of the session is there.
func TestWorkerSaysThatThePoolerIsGone(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	proxy := pgproxy.Start(t, p.url)
	far := *p
	far.url, far.env = proxy.URL(p.url), []string{"TASKER_SESSION_URL=" + p.url}
	worker, out := startWorker(t, &far)
	says := func(what string) func() bool { return func() bool { return strings.Contains(out.String(), what) } }
	require.Eventually(t, says("working on "), patience, 5*time.Millisecond, out)
	tries := leadNowhere(t, proxy)
	require.Eventually(t, func() bool { return tries.Load() > 40 }, patience, 5*time.Millisecond, out)
	proxy.SetTarget(p.url)
	require.Zero(t, p.run("submit", "one.yaml").code)
	require.Eventually(t, func() bool { return done(t, p, "complete") == 1 }, patience, 20*time.Millisecond, out)
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait(), out)
	requireInOrder(t, out.String(), "trying again: the database at "+redact(far.url)+" cannot be reached: ", "unexpected EOF. Start that server")
	said := map[string]bool{} // the worker looks for several things, and each look may fail
	for line := range strings.Lines(out.String()) {
		_, line, _ = strings.Cut(line, " ") // without the time
		require.False(t, strings.Contains(line, "unexpected EOF") && said[line], "said twice: %s\n%s", line, out)
		said[line] = true
	}
	require.NotContains(t, out.String(), "lost its session")
}

// A problem is printed at once, and then once a minute.
func TestProblemsAreNotRepeated(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := newProblemLog(newStepLog(&out))
	now := time.Unix(0, 0)
	log.now = func() time.Time { return now }
	logger := slog.New(log)
	for range 150 {
		logger.Warn("no tasks; trying again", "error", &net.OpError{Op: "read", Net: "tcp", Err: errors.New("reset")})
		logger.Warn("dead", "engine", 1)
		now = now.Add(time.Second)
	}
	logger.Warn("no tasks; trying again", "error", errors.WithHint(errors.New("refused"), "Start it."))
	require.Equal(t, 150, strings.Count(out.String(), "dead engine=1\n"))
	require.Equal(t, []string{
		"no tasks; trying again: read tcp: reset", "no tasks; trying again: read tcp: reset times=60",
		"no tasks; trying again: read tcp: reset times=60", "no tasks; trying again: refused. Start it.",
	}, slices.DeleteFunc(strings.Split(strings.TrimSpace(out.String()), "\n"), func(line string) bool { return line == "dead engine=1" }))
}
