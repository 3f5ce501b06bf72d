package orchestration_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

// chaosFault is a kind of fault. do gets a worker that holds tasks and has no lasting
// fault.
type chaosFault struct {
	kind  string
	often int // in each round but the first, which has each kind once
	do    func(*chaos, *chaosWorker)
}

// The kinds of faults after which others take the tasks over.
const (
	killed      = "killed"
	frozen      = "frozen"
	halfOpen    = "half-open session"
	lostHost    = "lost host"
	frozenShort = "frozen for a moment"
)

var chaosFaults = []chaosFault{
	{killed, 3, (*chaos).kill},
	{frozen, 3, func(c *chaos, w *chaosWorker) {
		c.freeze(w, c.between(5*time.Second, 8*time.Second))
		c.watch(frozen, w)
	}},
	{frozenShort, 1, func(c *chaos, w *chaosWorker) { c.freeze(w, c.between(200*time.Millisecond, 5*time.Second)) }},
	{halfOpen, 3, func(c *chaos, w *chaosWorker) {
		c.watch(halfOpen, w)
		w.proxy.HalfOpen(pgproxy.Listened)
	}},
	{"half-open connections", 1, func(_ *chaos, w *chaosWorker) { w.proxy.HalfOpen() }},
	{"stalled network", 1, (*chaos).stall},
	{"cut connections", 1, func(_ *chaos, w *chaosWorker) { w.proxy.Cut() }},
	{"lost answers", 2, (*chaos).loseAnswers},
	{lostHost, 3, (*chaos).loseHost},
	{"ended backends", 2, func(c *chaos, _ *chaosWorker) {
		c.one(`select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity
			where datname = current_database() and application_name like '%tasker-rb:%' order by random() limit $1) x`, 1+c.random.IntN(8))
	}},
	{"restarted server", 1, func(c *chaos, _ *chaosWorker) { c.restart(syscall.SIGINT) }},
	{"crashed server", 1, func(c *chaos, _ *chaosWorker) { c.restart(syscall.SIGQUIT) }},
	{"settings", 1, (*chaos).alter},
}

// fault lets the next fault happen. It returns false if it must come later.
func (c *chaos) fault() bool {
	if len(c.round) == 0 {
		c.rounds++
		for _, f := range chaosFaults {
			often := f.often
			if c.rounds == 1 {
				often = 1
			}
			c.round = append(c.round, slices.Repeat([]chaosFault{f}, often)...)
		}
		c.random.Shuffle(len(c.round), func(i, j int) { c.round[i], c.round[j] = c.round[j], c.round[i] })
	}
	// localpg does not restart a server that dies within its first second.
	f := c.round[0]
	young := time.Since(c.serverUp) < 3*time.Second
	if w := c.victim(); w != nil && !(young && (f.kind == "restarted server" || f.kind == "crashed server")) {
		c.round = c.round[1:]
		c.counts[f.kind]++
		c.history = append(c.history, happened{time.Now(), f.kind})
		f.do(c, w)
		return true
	}
	return false
}

// victim draws a worker that holds tasks and has no lasting fault; nil if there is none,
// or if too few others would be left.
func (c *chaos) victim() *chaosWorker {
	pids := ask[int](c, `select pid from tasker.workers w where exists (
		select from tasker.queue q where q.held_by = w.number)`)
	var holding []*chaosWorker
	healthy := 0
	for _, w := range c.workers {
		if !w.busy {
			healthy++
			if slices.Contains(pids, w.pid()) {
				holding = append(holding, w)
			}
		}
	}
	if healthy <= chaosHealthy || len(holding) == 0 {
		return nil
	}
	return holding[c.random.IntN(len(holding))]
}

// lasts marks a worker until that fault ends.
func (c *chaos) lasts(w *chaosWorker, d time.Duration, end func()) {
	w.busy = true
	c.after(d, func() {
		w.busy = false
		end()
	})
}

func (c *chaos) signal(w *chaosWorker, s syscall.Signal) {
	c.t.Helper()
	require.NoError(c.t, w.process.Process.Signal(s))
}

// replace starts a worker in the place of another.
func (c *chaos) replace(w *chaosWorker) {
	c.workers = slices.DeleteFunc(c.workers, func(x *chaosWorker) bool { return x == w })
	c.start()
}

func (c *chaos) kill(w *chaosWorker) {
	daemon.Freeze(c.t, w.process.Process) // it ends no task while its tasks are noted
	c.watch(killed, w)
	c.end(w)
	c.replace(w)
}

func (c *chaos) freeze(w *chaosWorker, d time.Duration) {
	daemon.Freeze(c.t, w.process.Process)
	c.lasts(w, d, func() { c.signal(w, syscall.SIGCONT) })
}

func (c *chaos) stall(w *chaosWorker) {
	w.proxy.Stall()
	c.lasts(w, c.between(500*time.Millisecond, 6*time.Second), func() { w.proxy.Resume() })
}

func (c *chaos) loseAnswers(w *chaosWorker) {
	fate := []pgproxy.Fate{pgproxy.ThenCut, pgproxy.ThenSilence}[c.random.IntN(2)]
	n := 1 + c.random.IntN(4)
	if c.random.IntN(2) == 0 {
		w.proxy.SwallowCommitAnswers(n, fate)
		return
	}
	// Outcomes that are recorded together have no COMMIT.
	w.proxy.SwallowAnswers(n, func(tag string) bool { return tag == "SELECT 1" }, fate, pgproxy.Not(pgproxy.Listened))
}

// mostLost is how many lost hosts there are at most. The oldest one ends then, and
// the server does not hear of it.
const mostLost = 8

func (c *chaos) loseHost(w *chaosWorker) {
	daemon.Freeze(c.t, w.process.Process)
	w.proxy.Stall()
	c.watch(lostHost, w)
	c.lost = append(c.lost, w)
	if len(c.lost) > mostLost {
		c.end(c.lost[0])
		c.lost = c.lost[1:]
	}
	c.replace(w)
}

// restart ends the server, and waits until another one answers.
func (c *chaos) restart(s syscall.Signal) {
	before := c.postmaster()
	require.NoError(c.t, syscall.Kill(before, s))
	c.wait("the server does not come back", func() bool { return c.postmaster() != before })
	c.serverUp = time.Now()
	c.crashed = c.crashed || s == syscall.SIGQUIT
}

func (c *chaos) postmaster() (pid int) {
	c.exec(func(ctx context.Context, _ *pgxpool.Conn) (err error) {
		pid, err = postmasterOf(ctx, c.pool)
		return err
	})
	return pid
}

// alter gives the database limits for a while. A worker opens its connections anew, so
// it gets them.
func (c *chaos) alter(w *chaosWorker) {
	set := func(sql string) {
		c.exec(func(ctx context.Context, conn *pgxpool.Conn) error {
			_, err := conn.Exec(ctx, "alter database tasker "+sql)
			return err
		})
	}
	for _, setting := range []string{"lock_timeout", "statement_timeout", "idle_session_timeout"} {
		set(fmt.Sprintf("set %s = '%d ms'", setting, 5+c.random.IntN(200)))
	}
	w.proxy.Cut()
	c.after(c.between(time.Second, 5*time.Second), func() {
		for _, setting := range []string{"lock_timeout", "statement_timeout", "idle_session_timeout"} {
			set("reset " + setting)
		}
	})
}
