package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/costs"
	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/templates"
)

// costsServer is a PostgreSQL in which nothing happens but what is counted: no other test,
// no autovacuum. Its tests must run one after another.
type costsServer struct {
	t         *testing.T
	url       string // of its first database
	admin     *pgx.Conn
	copies    string // how databases are copied
	databases int
}

// costsTemplate is the database that those of the lives are copied from.
const costsTemplate = "costs_template"

func startCostsServer(t *testing.T) *costsServer {
	t.Helper()
	local, err := localpg.Start(t.Context(), pgtest.Ephemeral(map[string]string{"autovacuum": "off"}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, local.Close()) })
	s := &costsServer{t: t, url: local.URL()}
	s.admin, err = pgx.Connect(t.Context(), s.url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.admin.Close(context.Background())) })
	s.copies, err = pgtest.Copying(t.Context(), s.admin)
	require.NoError(t, err)
	s.exec(s.admin, "create database "+costsTemplate)
	conn := s.connect(costsTemplate)
	require.NoError(t, orchestration.Migrate(t.Context(), conn))
	s.exec(conn, "create table public.accounts (id int primary key, n bigint not null)")
	s.exec(conn, "insert into public.accounts select i, 0 from generate_series(0, 99) i")
	s.exec(conn, "create table public.marks (n int)")
	s.disconnect(conn, costsTemplate)
	return s
}

func (s *costsServer) exec(conn *pgx.Conn, sql string, args ...any) {
	s.t.Helper()
	_, err := conn.Exec(s.t.Context(), sql, args...)
	require.NoError(s.t, err, sql)
}

func (s *costsServer) connect(database string) *pgx.Conn {
	s.t.Helper()
	config, err := pgx.ParseConfig(s.url)
	require.NoError(s.t, err)
	config.Database = database
	conn, err := pgx.ConnectConfig(s.t.Context(), config)
	require.NoError(s.t, err)
	return conn
}

// disconnect also waits until no backend is left in the database: each hands its
// statistics over before it is gone.
func (s *costsServer) disconnect(conn *pgx.Conn, database string) {
	s.t.Helper()
	require.NoError(s.t, conn.Close(s.t.Context()))
	s.eventually(func() bool {
		var n int
		require.NoError(s.t, s.admin.QueryRow(s.t.Context(), "select count(*) from pg_stat_activity where datname = $1", database).Scan(&n))
		return n == 0
	})
}

// eventually waits for a condition. Only a defect makes it reach its limit.
func (s *costsServer) eventually(condition func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(time.Millisecond) {
		require.True(s.t, time.Now().Before(deadline), "what was waited for did not come")
	}
}

// createDatabase makes a database with the tables, and returns its name.
func (s *costsServer) createDatabase() string {
	s.t.Helper()
	s.databases++
	name := fmt.Sprintf("costs_%d", s.databases)
	s.exec(s.admin, "create database "+name+" template "+costsTemplate+s.copies)
	return name
}

// written is what was written into a database so far.
type written struct {
	transactions int // that wrote or locked something
	rows         map[string]rowCounts
	marks        int
}

type rowCounts struct{ inserted, updated, hot, deleted int }

// written waits until nobody is connected to the database, and reads what was written.
// The statistics of a backend arrive in the order in which they were sent, some time
// later. So what the others did is there when a mark is there that was made after them.
func (s *costsServer) written(database string) written {
	s.t.Helper()
	ctx := s.t.Context()
	conn := s.connect(database)
	s.disconnect(conn, database)
	w := written{}
	require.NoError(s.t, s.admin.QueryRow(ctx, "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint").Scan(&w.transactions))
	conn = s.connect(database)
	require.NoError(s.t, conn.QueryRow(ctx, "insert into public.marks select count(*) + 1 from public.marks returning n").Scan(&w.marks))
	s.disconnect(conn, database)
	conn = s.connect(database)
	s.eventually(func() bool {
		rows, err := conn.Query(ctx, "select schemaname, relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del from pg_stat_user_tables")
		require.NoError(s.t, err)
		w.rows = map[string]rowCounts{}
		var schema, table string
		var c rowCounts
		marks := 0
		_, err = pgx.ForEachRow(rows, []any{&schema, &table, &c.inserted, &c.updated, &c.hot, &c.deleted}, func() error {
			switch schema {
			case "tasker":
				w.rows[table] = c
			case "public":
				if table == "marks" {
					marks = c.inserted
				}
			}
			return nil
		})
		require.NoError(s.t, err)
		return marks == w.marks
	})
	s.disconnect(conn, database)
	return w
}

// cost is what a life of an engine, or a part of it, has cost. The engine's session is
// left out: it writes heartbeats, as many as the time takes.
type cost struct {
	wire   pgproxy.Traffic
	writes int // commits that wrote something
	rows   map[string]rowCounts
}

func (c cost) minus(other cost) cost {
	rows := map[string]rowCounts{}
	for table, n := range c.rows {
		o := other.rows[table]
		rows[table] = rowCounts{n.inserted - o.inserted, n.updated - o.updated, n.hot - o.hot, n.deleted - o.deleted}
	}
	return cost{c.wire.Minus(other.wire), c.writes - other.writes, rows}
}

// figures are the cost, divided among n.
func (c cost) figures(n int) []costs.Figure {
	return []costs.Figure{
		costs.Ratio(c.wire.Statements, n), costs.Ratio(c.wire.RoundTrips, n), costs.Ratio(c.wire.Commits, n), costs.Ratio(c.writes, n),
		costs.Text(c.rowText(n)),
	}
}

var costColumns = []string{"statements", "round trips", "commits", "writing", "rows"}

func (c cost) rowText(n int) string {
	var tables []string
	for table, r := range c.rows {
		text := table
		for _, part := range []struct {
			sign  string
			count int
		}{{"+", r.inserted}, {"~", r.hot}, {"!", r.updated - r.hot}, {"-", r.deleted}} {
			if part.count != 0 {
				text += " " + part.sign + costs.Ratio(part.count, n).String()
			}
		}
		if text != table {
			tables = append(tables, text)
		}
	}
	slices.Sort(tables)
	return strings.Join(tables, ", ")
}

// life is one engine on a database of its own.
type life struct {
	*orchestration.Engine
	server   *costsServer
	database string
	proxy    *pgproxy.Proxy
	pool     *pgxpool.Pool

	mu       sync.Mutex
	changed  *sync.Cond
	done     map[int64]map[int]bool // the complete steps of each task
	started  map[int64]int          // how many steps of it have started
	ended    map[int64]bool
	expired  bool // only a defect makes it wait so long
	warnings []string
}

const (
	poolName    = "pool"
	sessionName = "session"
)

// live counts what work costs. Before the engine starts, so many tasks of the template
// are submitted. A life that had to warn of something, such as a server that was silent
// for seconds, is repeated: it did more than it should.
func (s *costsServer) live(submitted int, tpl *templates.Template, work func(l *life, tasks []int64)) cost {
	s.t.Helper()
	for tries := 1; ; tries++ {
		c, warnings := s.liveOnce(submitted, tpl, work)
		if len(warnings) == 0 {
			return c
		}
		require.Less(s.t, tries, 5, "%v", warnings)
		s.t.Logf("counting again, because the engine has warned: %v", warnings)
	}
}

func (s *costsServer) liveOnce(submitted int, tpl *templates.Template, work func(l *life, tasks []int64)) (cost, []string) {
	s.t.Helper()
	database := s.createDatabase()
	var tasks []int64
	if submitted > 0 {
		l := s.begin(database, nil, nil)
		for range submitted {
			tasks = append(tasks, l.submit(tpl))
		}
		l.end()
	}
	before := s.written(database)
	l := s.begin(database, nil, nil)
	start := l.proxy.Traffic(pgproxy.Named(poolName))
	work(l, tasks)
	c := cost{wire: l.proxy.Traffic(pgproxy.Named(poolName)).Minus(start)}
	l.end() // the session may say good-bye through the pool
	after := s.written(database)
	c.writes = after.transactions - before.transactions - 1 // the mark
	c.rows = map[string]rowCounts{}
	for table, n := range after.rows {
		b := before.rows[table]
		c.rows[table] = rowCounts{n.inserted - b.inserted, n.updated - b.updated, n.hot - b.hot, n.deleted - b.deleted}
	}
	session := c.rows["workers"] // the session writes these, one in a commit
	c.writes -= session.inserted + session.updated + session.deleted
	delete(c.rows, "workers")
	return c, l.warnings
}

// begin starts an engine whose traffic is counted. Tracers may follow the statements of
// its pool and of its session.
func (s *costsServer) begin(database string, ofPool, ofSession pgx.QueryTracer) *life {
	s.t.Helper()
	l := &life{server: s, database: database, done: map[int64]map[int]bool{}, started: map[int64]int{}, ended: map[int64]bool{}}
	l.changed = sync.NewCond(&l.mu)
	limit := time.AfterFunc(2*time.Minute, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.expired = true
		l.changed.Broadcast()
	})
	s.t.Cleanup(func() { limit.Stop() })
	l.proxy = pgproxy.Start(s.t, s.url)
	config, err := pgxpool.ParseConfig(l.proxy.URL(s.url))
	require.NoError(s.t, err)
	config.ConnConfig.Database = database
	config.ConnConfig.Tracer = ofPool
	config.ConnConfig.RuntimeParams["application_name"] = poolName
	session := config.ConnConfig.Copy()
	session.Tracer = ofSession
	session.RuntimeParams["application_name"] = sessionName
	l.pool, err = pgxpool.NewWithConfig(s.t.Context(), config)
	require.NoError(s.t, err)
	l.Engine, err = orchestration.New(s.t.Context(), orchestration.Config{
		Pool: l.pool, Session: session, Handlers: l, Logger: slog.New(warnings{l}), OnEvent: l.note, MaxParallelSteps: parallelSteps,
	})
	require.NoError(s.t, err)
	return l
}

func (l *life) end() {
	require.NoError(l.server.t, l.Close())
	l.pool.Close()
}

func (l *life) submit(tpl *templates.Template) int64 {
	l.server.t.Helper()
	done, err := l.Submit(l.server.t.Context(), orchestration.Submission{Template: tpl, NoWake: true})
	require.NoError(l.server.t, err)
	return done.TaskID
}

// submitAndWake also wakes the workers. The wake of a usual submission comes some time
// later, and may serve several.
func (l *life) submitAndWake(tpl *templates.Template) int64 {
	l.server.t.Helper()
	task := l.submit(tpl)
	require.NoError(l.server.t, l.Wake(l.server.t.Context()))
	return task
}

// run runs a task with Engine.Run.
func (l *life) run(task int64) {
	l.server.t.Helper()
	out, err := l.Run(l.server.t.Context(), task)
	require.NoError(l.server.t, err)
	require.Equal(l.server.t, orchestration.TaskComplete, out.State)
}

// worker has a worker until stop, which looks at the clock so seldom that it never does.
func (l *life) worker(poll time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(l.server.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Work(ctx, orchestration.WorkerConfig{Poll: poll}) }()
	return func() {
		l.server.t.Helper()
		cancel()
		require.NoError(l.server.t, <-ended)
	}
}

// never is longer than a test.
const never = 24 * time.Hour

// note takes note of what the engine tells.
func (l *life) note(e orchestration.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case orchestration.EventStepStarted:
		l.started[e.TaskID]++
	case orchestration.EventStepCompleted:
		if l.done[e.TaskID] == nil {
			l.done[e.TaskID] = map[int]bool{}
		}
		place, _ := placeOf(e.Step)
		l.done[e.TaskID][place] = true
	case orchestration.EventTaskEnded:
		l.ended[e.TaskID] = true
	}
	l.changed.Broadcast()
}

func (l *life) awaitEnd(task int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.ended[task] && !l.expired {
		l.changed.Wait()
	}
	if l.expired {
		l.server.t.Errorf("task %d has not ended", task)
	}
}

// ResolveHandler returns a handler that succeeds when the step before it, in the order of
// the template, is complete. So the steps of a task succeed one after another, also those
// that run at the same time. In a fan a step also waits until as many run as may. A class
// that begins with "Sql" updates a row.
func (l *life) ResolveHandler(_ context.Context, class string) (orchestration.StepHandler, error) {
	return orchestration.StepHandlerFunc(func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		l.awaitTurn(x.TaskID, x.StepName)
		if !strings.HasPrefix(class, "Sql") {
			return json.RawMessage(`{"ok": true, "amount": "12.50"}`), nil
		}
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "update public.accounts set n = n + 1 where id = $1", x.StepID%100)
		return json.RawMessage(`{"ok": true, "amount": "12.50"}`), err
	}), nil
}

func (l *life) awaitTurn(task int64, step string) {
	place, last := placeOf(step)
	started := 0
	if last > 0 { // in a fan
		started = min(last+1, place+parallelSteps)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for place > 0 && (!l.done[task][place-1] || l.started[task] < started) && !l.expired {
		l.changed.Wait()
	}
}

// parallelSteps is how many steps of a task run at the same time.
const parallelSteps = 8

// nameOf returns the name of a step: its kind, its place in the template and, in a fan,
// the last place.
func nameOf(kind string, place, last int) string {
	if last > 0 {
		return fmt.Sprintf("%s%dof%d", kind, place, last)
	}
	return fmt.Sprintf("%s%d", kind, place)
}

func placeOf(step string) (place, last int) {
	_, _ = fmt.Sscanf(strings.TrimLeft(step, "plainsq"), "%dof%d", &place, &last) // last may be missing
	return place, last
}

// warnings keeps what the engine warns of.
type warnings struct{ l *life }

func (warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.warnings = append(w.l.warnings, text)
	return nil
}

func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w warnings) WithGroup(string) slog.Handler      { return w }
