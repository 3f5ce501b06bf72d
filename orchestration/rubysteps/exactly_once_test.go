package rubysteps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/templates"
)

// workerVariable makes this binary a worker on the database it names.
const workerVariable = "TASKER_TEST_RUBY_WORKER"

// Each step writes one row, through one of three interfaces in turn, and returns
// the row's number.
const ledgerHandler = `
class Ledger < Tasker::StepHandler::Base
  def process(task, _sequence, step)
    db = Tasker.db
    values = [task.task_id, step.name, step.attempts]
    sql = "INSERT INTO ledger (task, step, attempt) VALUES ($1, $2, $3) RETURNING id"
    row =
      case (task.task_id + step.attempts) % 3
      when 0 then db.first(sql, values)
      when 1 then db.transaction { db.first(sql, values) }
      else { "id" => Tasker::Postgres.connect.exec_params(sql, values).getvalue(0, 0).to_i }
      end
    db.exec("UPDATE totals SET n = n + 1 WHERE bucket = $1", [task.task_id % 16])
    { row: row["id"] }
  end
end
nil`

func workUntilKilled(url string) error {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	config.MaxConns = 12
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	if _, err := host.Eval(ctx, ledgerHandler, "ledger.rb"); err != nil {
		return err
	}
	if _, err := rubysteps.ServeSQL(ctx, host, pool, slog.Default()); err != nil {
		return err
	}
	cfg := orchestration.Config{Pool: pool, Handlers: rubysteps.New(host), Logger: slog.New(slog.DiscardHandler)}
	engine, err := orchestration.New(ctx, cfg)
	for began := time.Now(); err != nil && time.Since(began) < time.Minute; { // the server may have crashed just now
		time.Sleep(20 * time.Millisecond)
		engine, err = orchestration.New(ctx, cfg)
	}
	if err != nil {
		return err
	}
	return engine.Work(ctx, orchestration.WorkerConfig{Poll: 200 * time.Millisecond})
}

const ledgerDiamond = `
name: ledger
step_templates:
  - {name: a, handler_class: Ledger, default_retry_limit: 10000, backoff: {curve: none, base_seconds: 0}}
  - {name: b, handler_class: Ledger, depends_on_step: a, default_retry_limit: 10000, backoff: {curve: none, base_seconds: 0}}
  - {name: c, handler_class: Ledger, depends_on_step: a, default_retry_limit: 10000, backoff: {curve: none, base_seconds: 0}}
  - {name: d, handler_class: Ledger, depends_on_steps: [b, c], default_retry_limit: 10000, backoff: {curve: none, base_seconds: 0}}
`

// A thousand steps write one row each. Meanwhile, at random moments, workers are
// killed, backends are terminated and the server is made to crash. In the end each
// step has exactly one row, and that row's number as its result.
func TestExactlyOnceWhateverDies(t *testing.T) {
	const workers, crashes = 2, 3
	tasks := effort.Of(300, 1000)
	ctx := t.Context()
	server, err := localpg.Start(ctx, pgtest.Ephemeral(nil))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	c := &chaos{t: t, url: server.URL(), random: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))}
	c.exec(orchestration.Migrate)
	c.exec(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `create table ledger (id bigserial primary key, task bigint, step text, attempt int);
		create table totals (bucket int primary key, n bigint);
		insert into totals select b, 0 from generate_series(0, 15) b`)
		return err
	})
	c.submit(tasks)
	for range workers {
		c.start()
	}
	t.Cleanup(c.killAll)
	var killed, terminated, crashed int
	steps := 4 * tasks
	first := c.random.Perm(3) // one fault of each kind, and then any
	for next := 20; next < steps || len(first) > 0; next = c.ledger() + 5 + c.random.IntN(50) {
		if !c.reached(next) { // every task has ended
			if len(first) == 0 {
				break
			}
			c.submit(tasks) // the workers were faster than the faults
			steps *= 2
			tasks *= 2
			continue
		}
		n := c.random.IntN(10)
		if len(first) > 0 {
			n, first = []int{0, 1, 9}[first[0]], first[1:]
		}
		switch {
		case n == 0 && crashed < crashes:
			c.crash()
			crashed++
		case n < 4:
			i := c.random.IntN(len(c.workers))
			c.kill(i)
			c.start()
			killed++
		default:
			terminated += c.terminate()
		}
	}
	c.reached(steps)
	require.Eventually(t, func() bool {
		return c.count("select count(*) from tasker.tasks where state = 'complete'") == tasks
	}, 3*time.Minute, 10*time.Millisecond)
	t.Logf("%d workers killed, %d backends terminated, %d crashes of the server", killed, terminated, crashed)
	require.Positive(t, killed)
	require.Positive(t, terminated)
	require.Positive(t, crashed)
	require.Equal(t, steps, c.count("select count(*) from ledger"))
	require.Equal(t, steps, c.count("select count(distinct (task, step)) from ledger"))
	require.Equal(t, steps, c.count("select sum(n)::int from totals"))
	require.Equal(t, steps, c.count(`select count(*) from tasker.attempts r join tasker.steps s using (step_id) join ledger l
		on l.id = (r.results->>'row')::bigint and l.task = s.task_id and l.step = s.name where r.outcome = 'complete'`))
}

type chaos struct {
	t       *testing.T
	url     string
	random  *rand.Rand
	workers []*exec.Cmd
}

// exec runs f on a connection of its own, and again on another if that one dies.
func (c *chaos) exec(f func(context.Context, *pgx.Conn) error) {
	c.t.Helper()
	var err error
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(c.t.Context(), c.url); err == nil {
			err = f(c.t.Context(), conn)
			_ = conn.Close(c.t.Context())
		}
		if err == nil {
			return
		}
	}
	require.NoError(c.t, err)
}

func (c *chaos) count(sql string) (n int) {
	c.t.Helper()
	c.exec(func(ctx context.Context, conn *pgx.Conn) error { return conn.QueryRow(ctx, sql).Scan(&n) })
	return n
}

func (c *chaos) ledger() int { return c.count("select count(*) from ledger") }

// reached waits until the ledger has that many rows. It returns false when all
// tasks have ended before.
func (c *chaos) reached(rows int) bool {
	c.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		switch {
		case c.ledger() >= rows:
			return true
		case c.count("select count(*) from tasker.tasks where state not in ('complete', 'error', 'cancelled')") == 0:
			return false
		}
		require.True(c.t, time.Now().Before(deadline), "no progress at %d rows", c.ledger())
	}
}

func (c *chaos) submit(tasks int) {
	ctx := c.t.Context()
	pool, err := pgxpool.New(ctx, c.url)
	require.NoError(c.t, err)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: rubysteps.New(host), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(c.t, err)
	template, err := templates.Parse([]byte(ledgerDiamond), "ledger.yaml")
	require.NoError(c.t, err)
	all := make([]orchestration.Submission, tasks)
	for i := range all {
		all[i] = orchestration.Submission{Template: template, Context: json.RawMessage(`{}`)}
	}
	_, err = engine.SubmitMany(ctx, all)
	require.NoError(c.t, err)
	require.NoError(c.t, engine.Close())
}

func (c *chaos) start() {
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), workerVariable+"="+c.url)
	worker.Stderr = os.Stderr
	require.NoError(c.t, worker.Start())
	c.workers = append(c.workers, worker)
}

func (c *chaos) kill(i int) {
	require.NoError(c.t, c.workers[i].Process.Kill())
	_ = c.workers[i].Wait() // it was killed
	c.workers = append(c.workers[:i], c.workers[i+1:]...)
}

func (c *chaos) killAll() {
	for len(c.workers) > 0 {
		c.kill(0)
	}
}

// terminate ends up to three of the workers' backends.
func (c *chaos) terminate() int {
	return c.count(fmt.Sprintf(`select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() order by random() limit %d) x`, 1+c.random.IntN(3)))
}

// crash makes the server crash. It stops a server that is up for two seconds at
// once, as a power cut does, and localpg starts it again. localpg does not restart
// a server that ran for less than a second; so on a younger one crash kills a
// backend, and PostgreSQL itself recovers.
func (c *chaos) crash() {
	var file string
	var backend int
	var upLongEnough bool
	c.exec(func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, `select pg_read_file('postmaster.pid'), pg_backend_pid(),
			clock_timestamp() - pg_postmaster_start_time() > interval '2 s'`).Scan(&file, &backend, &upLongEnough)
		if err == nil && !upLongEnough {
			err = syscall.Kill(backend, syscall.SIGKILL)
		}
		return err
	})
	if !upLongEnough {
		return
	}
	pid, err := strconv.Atoi(strings.SplitN(file, "\n", 2)[0])
	require.NoError(c.t, err)
	require.NoError(c.t, syscall.Kill(pid, syscall.SIGQUIT))
}
