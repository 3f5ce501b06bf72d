package orchestration_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// takeover is the time from a fault until others have the tasks of its worker.
type takeover struct {
	kind   string
	began  time.Time
	engine int64         // the number of the worker's engine
	left   []int64       // the tasks that nobody has taken over
	freed  time.Duration // until it held none of them
	took   time.Duration
}

// watch notes the tasks of a worker that a fault hits now.
func (c *chaos) watch(kind string, w *chaosWorker) {
	c.t.Helper()
	o := &takeover{kind: kind}
	c.exec(func(ctx context.Context, conn *pgxpool.Conn) error {
		err := conn.QueryRow(ctx, `select w.number, array_agg(k.task_id)
			from tasker.workers w join tasker.queue k on k.held_by = w.number
			where w.pid = $1 group by w.number limit 1`, w.pid()).Scan(&o.engine, &o.left)
		if err == pgx.ErrNoRows { // they ended just now
			return nil
		}
		return err
	})
	o.began = time.Now()
	if len(o.left) > 0 {
		c.takeovers = append(c.takeovers, o)
	}
}

// notTakenSQL selects the tasks ($1) that nobody has taken over from an engine ($2): it
// holds them, or they were freed and nobody has leased them yet. The former have a
// negative number.
const notTakenSQL = `
	select case when held_by = $2 then -task_id else task_id end from tasker.queue
	where task_id = any($1) and (held_by = $2 or held_by is null and due_at = 'epoch')`

// watchTakeovers notes what has been taken over.
func (c *chaos) watchTakeovers() {
	c.t.Helper()
	c.takeovers = slices.DeleteFunc(c.takeovers, func(o *takeover) bool {
		o.left = ask[int64](c, notTakenSQL, o.left, o.engine)
		o.took = time.Since(o.began)
		for i, task := range o.left {
			if task < 0 {
				o.left[i], o.freed = -task, o.took
			}
		}
		if o.took > chaosPatience {
			c.fail("tasks %v of engine %d, %s, are not taken over within %v", o.left, o.engine, o.kind, chaosPatience)
		}
		if len(o.left) == 0 {
			c.took[o.kind] = append(c.took[o.kind], o)
		}
		return len(o.left) == 0
	})
}

// hold is a task in the hands of an engine.
type hold struct{ Task, Engine int64 }

// longestHold is how long an engine may hold one task. The steps take a few seconds.
const longestHold = time.Minute

// watchHolds finds tasks that nobody works at, once a second. Without it the next fault
// would set them free, and nobody would know.
func (c *chaos) watchHolds() {
	c.t.Helper()
	if time.Since(c.heldAsked) < time.Second {
		return
	}
	c.heldAsked = time.Now()
	before := c.held
	c.held = map[hold]time.Time{}
	var holds []hold
	c.exec(func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, "select task_id, held_by from tasker.queue where held_by is not null")
		if err == nil {
			holds, err = pgx.CollectRows(rows, pgx.RowToStructByPos[hold])
		}
		return err
	})
	for _, h := range holds {
		since, ok := before[h]
		if !ok {
			since = c.heldAsked
		}
		c.held[h] = since
		if time.Since(since) > longestHold {
			c.fail("engine %d holds task %d for %v", h.Engine, h.Task, longestHold)
		}
	}
}

// during returns the faults that came in that time.
func (c *chaos) during(began time.Time, most time.Duration) (kinds []string) {
	for _, f := range c.history {
		if after := f.at.Sub(began); after > 0 && after < most {
			kinds = append(kinds, fmt.Sprintf("%s after %v", f.kind, after.Round(time.Millisecond)))
		}
	}
	return kinds
}

// report prints the figures.
func (c *chaos) report() {
	for _, kind := range slices.Sorted(maps.Keys(c.counts)) {
		c.t.Logf("%4d  %s", c.counts[kind], kind)
	}
	for _, kind := range []string{killed, frozen, halfOpen, lostHost} {
		took := slices.SortedFunc(slices.Values(c.took[kind]), func(a, b *takeover) int { return cmp.Compare(a.took, b.took) })
		if len(took) == 0 {
			continue
		}
		at := func(share float64) time.Duration {
			return took[min(int(share*float64(len(took))), len(took)-1)].took.Round(time.Millisecond)
		}
		c.t.Logf("taken over after %-18s n %3d  p50 %v  p99 %v  max %v", kind+":", len(took), at(0.5), at(0.99), at(1))
		slowest := took[len(took)-1]
		c.t.Logf("    the slowest: freed after %v; meanwhile: %v", slowest.freed.Round(time.Millisecond), c.during(slowest.began, slowest.took))
	}
	for _, line := range ask[string](c, `
		select format('%s attempts %s %s', count(*), outcome, error_class || ', such as ' || max(left(error->>'message', 150)))
		from tasker.attempts group by outcome, error_class order by count(*) desc`) {
		c.t.Log(line)
	}
}

// check checks what must be true in the end, whatever has happened.
func (c *chaos) check() {
	none := func(what, sql string) {
		if rows := ask[string](c, sql); len(rows) > 0 {
			c.t.Errorf("%s: %d, such as %v", what, len(rows), rows[:min(len(rows), 5)])
		}
	}
	require.Equal(c.t, c.submitted, c.one("select count(*) from tasker.tasks"))
	none("tasks that are not complete", "select format('task %s %s', task_id, state) from tasker.tasks where state <> 'complete'")
	none("steps that are not complete", "select format('task %s step %s %s', task_id, name, state) from tasker.steps where state <> 'complete'")
	none("tasks in the queue", "select task_id::text from tasker.queue")
	none("steps claimed", "select step_id::text from tasker.steps where claimed_by is not null")
	none("steps without one complete attempt, or with another last one", `
		select format('task %s step %s: %s', s.task_id, s.name, array_agg(a.attempt || ' ' || a.outcome order by a.attempt))
		from tasker.steps s left join tasker.attempts a using (step_id) group by s.step_id
		having count(*) filter (where a.outcome = 'complete') <> 1 or max(a.attempt) <> s.attempts
			or max(a.attempt) filter (where a.outcome = 'complete') <> s.attempts`)
	none("steps that wrote no row, or several, or one of another attempt", `
		select format('task %s step %s: result %s, rows %s', s.task_id, s.name, a.results->>'nonce', array_agg(l.nonce))
		from tasker.steps s left join tasker.attempts a on a.step_id = s.step_id and a.outcome = 'complete'
		left join ledger l on l.task = s.task_id and l.step = s.name
		group by s.step_id, a.results->>'nonce'
		having count(l.nonce) <> `+chaosRowsSQL+` or count(l.nonce) = 1 and min(l.nonce) is distinct from (a.results->>'nonce')::bigint`)
	require.Equal(c.t, c.one("select count(*) from tasker.steps s where "+chaosRowsSQL+" = 1"), c.one("select count(*) from ledger"), "rows")
	require.Equal(c.t, c.one("select count(*) from tasker.steps s where name in ('a', 'b') and exists ("+chaosTotalSQL+")"),
		c.one("select sum(n)::int from totals"), "counted in serializable transactions")
	none("transitions that begin where none ended", `
		select format('step %s: %s > %s after %s', step_id, from_state, to_state, before) from (
			select step_id, from_state, to_state, coalesce(lag(to_state) over (partition by step_id order by change), 'pending') as before
			from tasker.step_history) x where from_state <> before
		union all select format('task %s: %s > %s after %s', task_id, from_state, to_state, before) from (
			select task_id, from_state, to_state, lag(to_state) over (partition by task_id order by change) as before
			from tasker.task_history) x where from_state is distinct from before`)
	checkTable(c, "step", orchestration.StepTransitions)
	checkTable(c, "task", orchestration.TaskTransitions)
	c.checkFates()
}

// The parts of the checks that know the templates: how many rows the step s writes,
// and whether its task is of the template that counts.
const (
	chaosRowsSQL = `(select case when d.step->'handler_class' = '"Quiet"' then 0 else 1 end from (
		select jsonb_array_elements(t.document::jsonb->'step_templates') as step
		from tasker.tasks k join tasker.templates t using (digest) where k.task_id = s.task_id) d where d.step->>'name' = s.name)`
	chaosTotalSQL = `select from tasker.tasks k join tasker.templates t using (digest)
		where k.task_id = s.task_id and t.document::text like '%serializable%'`
)

// checkTable checks that every transition is an allowed one.
func checkTable[S ~string](c *chaos, of string, table map[S][]S) {
	c.t.Helper()
	for _, move := range ask[[]string](c, fmt.Sprintf(`select distinct array[from_state, to_state] from tasker.%s_history where from_state is not null`, of)) {
		require.Contains(c.t, table[S(move[0])], S(move[1]), "from %s", move[0])
	}
}

// checkFates checks that the hooks of each attempt have heard what became of it. A server
// that crashed has lost commits of which they had heard.
func (c *chaos) checkFates() {
	c.fates.mu.Lock()
	defer c.fates.mu.Unlock()
	counts := map[string]int{}
	complete := map[int64]bool{}
	for _, nonce := range ask[int64](c, "select (results->>'nonce')::bigint from tasker.attempts where outcome = 'complete'") {
		complete[nonce] = true
		fate, told := c.fates.told[nonce]
		if !told {
			counts["complete and not told"]++ // the worker was killed
			continue
		}
		counts["complete and told "+fate.String()]++
	}
	for nonce, fate := range c.fates.told {
		if !complete[nonce] {
			counts["not complete and told "+fate.String()]++
		}
	}
	c.t.Logf("attempts by what their hooks heard: %v", counts)
	require.Zero(c.t, counts["complete and told rolled back"])
	if !c.crashed {
		require.Zero(c.t, counts["not complete and told committed"])
	}
}
