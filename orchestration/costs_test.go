package orchestration_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/costs"
	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// TestCosts counts what the engine asks of the server, and compares it with
// testdata/costs.txt. docs/performance.md explains the figures.
//
// What is once in the life of an engine, such as reading a template, is in two lives
// alike. So each figure is the difference of two lives.
func TestCosts(t *testing.T) {
	t.Parallel()
	s := startCostsServer(t)
	sheet := costs.Open(t, "testdata/costs.txt")
	sheet.Section("submitting", costColumns...)
	countSubmissions(s, sheet)
	sheet.Section("a step, with Engine.Run", costColumns...)
	for _, sql := range []string{"plain", "sql"} {
		for _, g := range []graph{chain, fan} {
			sheet.Is(g.name+withSQL(sql), s.perStep(g, sql, runAll)...)
		}
	}
	sheet.Section("a step, with a worker", costColumns...)
	for _, sql := range []string{"plain", "sql"} {
		for _, g := range []graph{chain, fan} {
			sheet.Is(g.name+withSQL(sql), s.perStep(g, sql, workAll)...)
		}
	}
	sheet.Section("a diamond of four steps", costColumns...)
	for _, sql := range []string{"plain", "sql"} {
		tpl := costsTemplateOf(t, diamondGraph, sql, 0)
		sheet.Is("with Engine.Run"+withSQL(sql), s.live(2, tpl, runAll).minus(s.live(1, tpl, runAll)).figures(1)...)
		sheet.Is("with a worker that waits"+withSQL(sql), s.workerTask(tpl).figures(1)...)
	}
	sheet.Section("waiting", "statements")
	countIdle(s, sheet)
}

// graph are tasks of one shape.
type graph struct {
	name    string
	parents func(place, n int) []int
}

var (
	chain = graph{"a chain", func(place, _ int) []int { return []int{place - 1} }}
	fan   = graph{"a fan", func(int, int) []int { return []int{0} }}

	diamondGraph = graph{"a diamond", func(place, _ int) []int { return [][]int{nil, {0}, {0}, {1, 2}}[place] }}
)

func withSQL(kind string) string {
	if kind == "sql" {
		return ", with SQL"
	}
	return ""
}

// costsTemplateOf makes a template of the graph: one step, and n after it. The steps are
// called by their kind, "plain" or "sql", and their places.
func costsTemplateOf(t testing.TB, g graph, kind string, n int) *templates.Template {
	t.Helper()
	if g.name == diamondGraph.name {
		n = 3
	}
	last := 0
	if g.name == fan.name {
		last = n
	}
	var lines strings.Builder
	for place := range n + 1 {
		lines.WriteString(nameOf(kind, place, last) + ":")
		for _, p := range g.parents(place, n) {
			if place > 0 {
				lines.WriteString(" " + nameOf(kind, p, last))
			}
		}
		lines.WriteString("\n")
	}
	return template(t, lines.String(), "")
}

// stepsCounted fit on one page of each table with all of their versions, twice. So
// whether an update is HOT does not depend on when the server makes room.
const stepsCounted = 8

// perStep is what one more step costs in a task.
func (s *costsServer) perStep(g graph, kind string, work func(*life, []int64)) []costs.Figure {
	s.t.Helper()
	once := s.live(1, costsTemplateOf(s.t, g, kind, stepsCounted), work)
	twice := s.live(1, costsTemplateOf(s.t, g, kind, 2*stepsCounted), work)
	return twice.minus(once).figures(stepsCounted)
}

func runAll(l *life, tasks []int64) {
	for _, task := range tasks {
		l.run(task)
	}
}

func workAll(l *life, tasks []int64) {
	stop := l.worker(never)
	for _, task := range tasks {
		l.awaitEnd(task)
	}
	stop()
}

// workerTask is what a task costs from the moment when a waiting worker is woken for it.
func (s *costsServer) workerTask(tpl *templates.Template) cost {
	s.t.Helper()
	work := func(woken int) func(*life, []int64) {
		return func(l *life, tasks []int64) {
			stop := l.worker(never)
			l.awaitEnd(tasks[0])
			for range woken {
				l.awaitEnd(l.submitAndWake(tpl))
			}
			stop()
		}
	}
	submit := func(times int) func(*life, []int64) {
		return func(l *life, _ []int64) {
			for range times {
				l.submitAndWake(tpl)
			}
		}
	}
	task := s.live(1, tpl, work(2)).minus(s.live(1, tpl, work(1)))
	return task.minus(s.live(0, tpl, submit(2)).minus(s.live(0, tpl, submit(1))))
}

func countSubmissions(s *costsServer, sheet *costs.Sheet) {
	tpl := costsTemplateOf(s.t, diamondGraph, "plain", 0)
	list := make([]orchestration.Submission, 100)
	for i := range list {
		list[i] = orchestration.Submission{Template: tpl, NoWake: true}
	}
	submit := func(n int) func(*life, []int64) {
		return func(l *life, _ []int64) {
			for range n {
				l.submit(tpl)
			}
		}
	}
	submitMany := func(n int) func(*life, []int64) {
		return func(l *life, _ []int64) {
			l.submit(tpl)
			for range n {
				_, err := l.SubmitMany(s.t.Context(), list)
				require.NoError(s.t, err)
			}
		}
	}
	once := func(n int) func(*life, []int64) {
		return func(l *life, _ []int64) {
			for i := range n {
				_, err := l.Submit(s.t.Context(), orchestration.Submission{Template: tpl, NoWake: true, IdentityKey: string(rune('a' + i))})
				require.NoError(s.t, err)
			}
		}
	}
	wake := func(l *life, _ []int64) { require.NoError(s.t, l.Wake(s.t.Context())) }
	nothing, first := s.live(0, tpl, func(*life, []int64) {}), s.live(0, tpl, submit(1))
	sheet.Is("the first diamond of an engine", first.minus(nothing).figures(1)...)
	sheet.Is("another diamond", s.live(0, tpl, submit(2)).minus(first).figures(1)...)
	sheet.Is("another diamond, with a key", s.live(0, tpl, once(2)).minus(s.live(0, tpl, once(1))).figures(1)...)
	sheet.Is("100 diamonds at once", s.live(0, tpl, submitMany(1)).minus(first).figures(1)...)
	sheet.Is("waking the workers", s.live(0, tpl, wake).minus(nothing).figures(1)...)
}

// texts counts the statements that pgx sends, by their texts.
type texts struct {
	mu     sync.Mutex
	counts map[string]int
	all    int
}

func (c *texts) note(sql string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[sql]++
	c.all++
}

func (c *texts) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts, c.all = map[string]int{}, 0
}

// repeats reports whether one statement has come often, and each of them some times. A
// statement that is not repeated is not waited for without end.
func (c *texts) repeats(often int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	most, least := 0, math.MaxInt
	for _, n := range c.counts {
		most, least = max(most, n), min(least, n)
	}
	return most >= often && (least >= repeated || most >= 20*often)
}

// distinct is how many different statements have come.
func (c *texts) distinct() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.counts)
}

// repeated is how often a statement comes that is repeated.
const repeated = 2

// repeated returns how many statements are repeated. Each may come so often at most.
func (c *texts) repeated(t *testing.T, most int) (n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	often := slices.Max(slices.Collect(maps.Values(c.counts)))
	for sql, count := range c.counts {
		require.LessOrEqual(t, count, most, "this statement of an idle engine comes more than once in its interval: %s", sql)
		if count >= repeated && 20*count > often { // a late test sees the rare ones twice, too
			n++
		}
	}
	return n
}

func (c *texts) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	c.note(d.SQL)
	return ctx
}
func (c *texts) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *texts) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (c *texts) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	c.note(d.SQL)
}
func (c *texts) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// countIdle counts the statements of a worker that has nothing to do. How often it looks
// depends on the time, and on a busy machine it looks less often. So the figure is how
// many different statements it repeats, and none may come more often than the looks.
func countIdle(s *costsServer, sheet *costs.Sheet) {
	const poll = 20 * time.Millisecond
	t := s.t
	pool, session := &texts{counts: map[string]int{}}, &texts{counts: map[string]int{}}
	l := s.begin(s.createDatabase(), pool, session)
	session.reset()
	stop := l.worker(poll)
	s.eventually(func() bool { return session.distinct() >= 2 }) // the engine has said once what its worker takes
	pool.reset()
	session.reset()
	began, before := time.Now(), l.proxy.Traffic(pgproxy.Named(poolName))
	s.eventually(func() bool { return pool.repeats(10) && session.repeats(4) })
	stop()
	elapsed := time.Since(began)
	sent := l.proxy.Traffic(pgproxy.Named(poolName)).Minus(before).Statements
	l.end()
	const interrupted = 10 // answers that nobody read any more when the worker stopped, at most
	require.LessOrEqual(t, sent, pool.all+interrupted, "the engine sends statements that the tracer does not see")
	sheet.Is("an idle worker, each Poll", costs.Exact(pool.repeated(t, int(elapsed/poll)+3)))
	sheet.Is("an engine's session, each heartbeat", costs.Exact(session.repeated(t, int(elapsed/orchestration.HeartbeatEvery)+3)))
}

// Twice the steps cost at most 2.2 times the statements.
func TestCostsGrowWithTheSteps(t *testing.T) {
	t.Parallel()
	s := startCostsServer(t)
	for _, g := range []graph{chain, fan} {
		for _, kind := range []string{"plain", "sql"} {
			l := s.begin(s.createDatabase(), nil, nil)
			last := 0
			for _, steps := range []int{50, 100, 200} {
				task := l.submit(costsTemplateOf(t, g, kind, steps-1))
				before := l.proxy.Traffic(pgproxy.Named(poolName))
				l.run(task)
				n := l.proxy.Traffic(pgproxy.Named(poolName)).Minus(before).Statements
				if last > 0 {
					require.LessOrEqual(t, float64(n), 2.2*float64(last), "%s of %d steps%s, and before of half as many", g.name, steps, withSQL(kind))
				}
				last = n
			}
			l.end()
		}
	}
}

// As many finished tasks, and as many that are not due, change nothing.
var tasksBeside = effort.Of(20_000, 100_000)

// A task costs the same statements in tables that are full.
func TestCostsDoNotGrowWithTheTables(t *testing.T) {
	t.Parallel()
	s := startCostsServer(t)
	tpl := costsTemplateOf(t, diamondGraph, "plain", 0)
	count := func(database string) (c pgproxy.Traffic) {
		l := s.begin(database, nil, nil)
		defer l.end()
		before := l.proxy.Traffic(pgproxy.Named(poolName))
		l.run(l.submit(tpl))
		first := l.submit(tpl)
		stop := l.worker(never)
		l.awaitEnd(first)
		l.awaitEnd(l.submitAndWake(tpl))
		stop()
		return l.proxy.Traffic(pgproxy.Named(poolName)).Minus(before)
	}
	empty := count(s.createDatabase())

	full := s.createDatabase()
	l := s.begin(full, nil, nil)
	finished := l.submit(tpl)
	l.run(finished)
	later, err := l.Submit(t.Context(), orchestration.Submission{Template: tpl, NoWake: true, RunAt: time.Now().AddDate(1, 0, 0)})
	require.NoError(t, err)
	l.end()
	conn := s.connect(full)
	for i, task := range []int64{finished, later.TaskID} {
		s.multiply(conn, task, tasksBeside, int64(i+1)*1_000_000_000)
	}
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from tasker.tasks").Scan(&n))
	require.Equal(t, 2*tasksBeside+2, n)
	s.disconnect(conn, full)
	require.Equal(t, empty, count(full))
}

// multiply copies a task and everything that belongs to it n times. The numbers of the
// copies begin at base.
func (s *costsServer) multiply(conn *pgx.Conn, task int64, n int, base int64) {
	s.t.Helper()
	s.exec(conn, "set session_replication_role = replica") // no foreign keys, no triggers
	s.exec(conn, "create temporary table of_task as select step_id from tasker.steps where task_id = $1", pgx.QueryExecModeSimpleProtocol, task)
	for table, of := range map[string]string{
		"tasks": "task_id = %d", "queue": "task_id = %d", "steps": "task_id = %d", "attempts": "step_id in (select step_id from of_task)",
	} {
		// All columns as they are, but for the numbers.
		var columns, values string
		require.NoError(s.t, conn.QueryRow(s.t.Context(), `
			select string_agg(quote_ident(attname), ', '),
				string_agg(quote_ident(attname) || case when attname in ('task_id', 'step_id') then format(' + %s + 10 * g', $2::bigint) else '' end, ', ')
			from pg_attribute where attrelid = ('tasker.' || $1)::regclass and attnum > 0 and not attisdropped and attgenerated = ''
				and attname <> 'attempt_id'`, table, base).Scan(&columns, &values))
		s.exec(conn, fmt.Sprintf("insert into tasker.%s (%s) overriding system value select %s from tasker.%s, generate_series(1, %d) g where %s",
			table, columns, values, table, n, strings.ReplaceAll(of, "%d", fmt.Sprint(task))))
	}
	s.exec(conn, "drop table of_task")
	s.exec(conn, "set session_replication_role = origin")
}
