package orchestration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// The variables that make TestChaos long; `make chaos` sets them.
const (
	chaosTasksVariable = "CHAOS_TASKS" // how many tasks there are at least
	chaosForVariable   = "CHAOS_FOR"   // when the faults end, if the tasks have not
	chaosSeedVariable  = "CHAOS_SEED"  // which faults come, and when
)

const (
	chaosWorkers = 5
	// chaosHealthy is how many workers have no lasting fault at any time.
	chaosHealthy = 2
	// chaosPatience is how long a takeover may take, and how long the last tasks may
	// take without a fault.
	chaosPatience = 2 * time.Minute
)

// chaos is one run of TestChaos. Its methods are called by the test's goroutine.
type chaos struct {
	t      *testing.T
	random *rand.Rand
	url    string        // of the server, without a proxy
	pool   *pgxpool.Pool // direct, and without the limits that a fault gives the database
	logs   string

	templates []orchestration.Submission
	submitted int
	every     time.Duration // the time between two tasks

	workers []*chaosWorker
	lost    []*chaosWorker // frozen, behind a silent network
	started int
	fates   fates

	round     []chaosFault // the faults to come
	rounds    int
	counts    map[string]int
	later     []appointment
	serverUp  time.Time // since when the server runs
	crashed   bool
	takeovers []*takeover
	took      map[string][]*takeover
	held      map[hold]time.Time // since when
	heldAsked time.Time
	history   []happened
}

// happened is a fault that has come.
type happened struct {
	at   time.Time
	kind string
}

// appointment ends a fault.
type appointment struct {
	at time.Time
	do func()
}

// Mixed tasks run in several worker processes, each behind a network of its own, on a
// server that loses commits when it crashes. Faults of all kinds come at random. In the
// end every task is complete, and every step has its row once. The test prints how long
// it took until others took over the tasks of a worker.
func TestChaos(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // the workers end with the thread that has started them
	defer runtime.UnlockOSThread()
	tasks, most, seed := 150, 15*time.Second, uint64(time.Now().UnixNano())
	var err error
	if v := os.Getenv(chaosTasksVariable); v != "" {
		tasks, err = strconv.Atoi(v)
		require.NoError(t, err)
	}
	if v := os.Getenv(chaosForVariable); v != "" {
		most, err = time.ParseDuration(v)
		require.NoError(t, err)
	}
	if v := os.Getenv(chaosSeedVariable); v != "" {
		seed, err = strconv.ParseUint(v, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("%s=%d %s=%d %s=%v", chaosSeedVariable, seed, chaosTasksVariable, tasks, chaosForVariable, most)
	c := newChaos(t, seed)
	c.every = most * 3 / 4 / time.Duration(tasks)
	c.submit(tasks)
	for range chaosWorkers {
		c.start()
	}
	began := time.Now()
	c.disturb(began.Add(most))
	c.calm()
	c.wait("the tasks do not end", func() bool { return !c.open() })
	t.Logf("%d tasks in %v, with %d workers", c.submitted, time.Since(began).Round(time.Second), c.started)
	c.report()
	c.check()
}

// newChaos starts the server.
func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	logs, err := os.MkdirTemp("", "tasker-chaos-")
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the workers' logs: %s", logs)
			return
		}
		require.NoError(t, os.RemoveAll(logs))
	})
	server, err := localpg.Start(t.Context(), pgtest.Ephemeral(map[string]string{"synchronous_commit": "off", "max_connections": "400"}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	c := &chaos{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), url: server.URL(), logs: logs, serverUp: time.Now(),
		counts: map[string]int{}, took: map[string][]*takeover{},
	}
	c.fates.told = map[int64]sqlsession.Fate{}
	config, err := pgxpool.ParseConfig(c.url)
	require.NoError(t, err)
	for _, setting := range []string{"statement_timeout", "lock_timeout", "idle_session_timeout"} {
		config.ConnConfig.RuntimeParams[setting] = "0"
	}
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	c.pool, err = pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(c.pool.Close)
	t.Cleanup(func() {
		for _, w := range slices.Concat(c.workers, c.lost) {
			c.end(w)
		}
	})
	c.exec(func(ctx context.Context, conn *pgxpool.Conn) error { return orchestration.Migrate(ctx, conn.Conn()) })
	c.exec(func(ctx context.Context, conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, chaosTables)
		return err
	})
	for _, steps := range chaosTemplates {
		c.templates = append(c.templates, orchestration.Submission{Template: parse(t, strings.ReplaceAll(steps, "MORE", chaosMore))})
	}
	return c
}

// submit submits n tasks, of each template the same number. They fall due one after
// another: workers that are always full would have no room for the tasks of others.
func (c *chaos) submit(n int) {
	c.t.Helper()
	all := make([]orchestration.Submission, 0, n)
	for i := range n {
		s := c.templates[i%len(c.templates)]
		s.RunAt = time.Now().Add(time.Duration(i) * c.every)
		all = append(all, s)
	}
	e, err := orchestration.New(c.t.Context(), orchestration.Config{Pool: c.pool, Handlers: resolver{}})
	require.NoError(c.t, err)
	_, err = e.SubmitMany(c.t.Context(), all)
	require.NoError(c.t, err)
	require.NoError(c.t, e.Close())
	c.submitted += n
}

// disturb lets faults come until that time, and until there was one of each kind. It
// returns sooner if the tasks have ended; but then it first adds tasks for the kinds that
// are missing.
func (c *chaos) disturb(until time.Time) {
	next := time.Now()
	for open := true; time.Now().Before(until) && open || c.rounds < 2; open = c.open() {
		if !open {
			c.submit(50)
		}
		if time.Now().After(until.Add(chaosPatience)) {
			c.fail("not every fault has come; next: %s", c.round[0].kind)
		}
		c.keepAppointments(time.Now())
		c.watchTakeovers()
		c.watchHolds()
		if time.Now().After(next) && c.fault() {
			next = time.Now().Add(c.between(200*time.Millisecond, 1200*time.Millisecond))
		}
		time.Sleep(5 * time.Millisecond) // the pace of the polling
	}
}

// calm waits for the ends of the lasting faults, and for the takeovers.
func (c *chaos) calm() {
	c.wait("faults do not end", func() bool {
		c.keepAppointments(time.Now())
		c.watchTakeovers()
		return len(c.later) == 0 && len(c.takeovers) == 0
	})
}

// wait waits for a condition.
func (c *chaos) wait(what string, condition func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(chaosPatience); !condition(); {
		if time.Now().After(deadline) {
			c.fail("%s within %v", what, chaosPatience)
		}
		time.Sleep(5 * time.Millisecond) // the pace of the polling
	}
}

// between draws a duration.
func (c *chaos) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.random.Int64N(int64(most-least)))
}

// after makes an appointment.
func (c *chaos) after(d time.Duration, do func()) {
	c.later = append(c.later, appointment{time.Now().Add(d), do})
}

func (c *chaos) keepAppointments(now time.Time) {
	var due []appointment
	c.later = slices.DeleteFunc(c.later, func(a appointment) bool {
		if a.at.After(now) {
			return false
		}
		due = append(due, a)
		return true
	})
	for _, a := range due {
		a.do()
	}
}

// exec runs f on a direct connection, again if the server is away.
func (c *chaos) exec(f func(context.Context, *pgxpool.Conn) error) {
	c.t.Helper()
	var err error
	for deadline := time.Now().Add(chaosPatience); time.Now().Before(deadline); {
		if err = c.pool.AcquireFunc(c.t.Context(), func(conn *pgxpool.Conn) error { return f(c.t.Context(), conn) }); err == nil {
			return
		}
		time.Sleep(time.Millisecond) // the pace of the tries
	}
	require.NoError(c.t, err)
}

// ask returns the rows of a query.
func ask[T any](c *chaos, sql string, args ...any) (all []T) {
	c.t.Helper()
	c.exec(func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, sql, args...)
		if err == nil {
			all, err = pgx.CollectRows(rows, pgx.RowTo[T])
		}
		return err
	})
	return all
}

// one returns the only value of a query.
func (c *chaos) one(sql string, args ...any) int {
	c.t.Helper()
	all := ask[int](c, sql, args...)
	require.Len(c.t, all, 1)
	return all[0]
}

// open reports whether a task has not ended.
func (c *chaos) open() bool {
	return c.one("select exists (select from tasker.tasks where state in ('pending', 'in_progress'))::int") == 1
}

// fail ends the test. The workers write the stacks of their goroutines into their logs.
func (c *chaos) fail(format string, args ...any) {
	c.t.Helper()
	picture := c.picture()
	for _, w := range c.workers {
		c.signal(w, syscall.SIGCONT)
		c.signal(w, syscall.SIGQUIT)
		_ = w.process.Wait() // it ends with an error
	}
	c.workers = nil
	c.t.Fatalf("%s:\n%s", fmt.Sprintf(format, args...), picture)
}

// picture describes what is not done, for a failure.
func (c *chaos) picture() string {
	lines := ask[string](c, `
		(select format('task %s %s held by %s, due %s, revision %s', task_id, state, q.held_by, q.due_at, revision)
			from tasker.tasks left join tasker.queue q using (task_id) where state in ('pending', 'in_progress') order by task_id limit 40)
		union all (select format('task %s step %s %s attempts %s claimed by %s losses %s next %s', task_id, name, state, attempts, claimed_by, losses, next_attempt_at)
			from tasker.steps join (select task_id from tasker.tasks where state in ('pending', 'in_progress') order by task_id limit 40) k using (task_id) order by task_id, position)
		union all (select format('worker %s pid %s heartbeat %s', number, pid, clock_timestamp() - heartbeat_at) from tasker.workers)
		union all (select format('backend %s %s %s %s %s %s', pid, application_name, state, wait_event, clock_timestamp() - state_change, left(query, 80))
			from pg_stat_activity where datname = current_database() and state <> 'idle')
		union all (select format('slot %s %s claimant %s attempt %s woken %s', step_id, key, claimant, attempt, woken_at) from tasker.slots limit 40)`)
	for _, w := range c.workers {
		lines = append(lines, fmt.Sprintf("process %d busy %v", w.pid(), w.busy))
	}
	return strings.Join(lines, "\n")
}
