package rubysteps_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgbouncer"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/templates"
)

// database is a database with a table named ledger, an engine, and SQL for Ruby.
type database struct {
	pool   *pgxpool.Pool
	engine *orchestration.Engine
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	config, err := pgxpool.ParseConfig(databaseURL(t))
	require.NoError(t, err)
	sqlsession.ReceiveNotices(&config.ConnConfig.Config)
	return serve(t, openPool(t, config), nil)
}

// databaseURL is that of a new database, where deadlocks are found soon.
func databaseURL(t *testing.T) string {
	t.Helper()
	url := pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate))
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `do $$ begin execute format('alter database %I set deadlock_timeout = ''50ms''', current_database()); end $$`)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	return url
}

func openPool(t *testing.T, config *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() {
		requireAllGivenBack(t, pool, "a connection was not released")
		pool.Close()
	})
	return pool
}

// newPooledDatabase is newDatabase behind a pooler in transaction mode, which gives each
// transaction another backend. Only the engine's session goes to the server itself.
func newPooledDatabase(t *testing.T) *database {
	t.Helper()
	url := databaseURL(t)
	session, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	pooler := pgbouncer.Start(t, url, pgbouncer.Transaction, map[string]string{"server_round_robin": "1"})
	config, err := pgxpool.ParseConfig(pooler.URL(url))
	require.NoError(t, err)
	orchestration.ConfigurePool(config)
	pool := openPool(t, config)
	var open []pgx.Tx // so many backends there will be
	for range 4 {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		open = append(open, tx)
	}
	for _, tx := range open {
		require.NoError(t, tx.Rollback(t.Context()))
	}
	return serve(t, pool, session)
}

func serve(t *testing.T, pool *pgxpool.Pool, session *pgx.ConnConfig) *database {
	t.Helper()
	d := &database{pool: pool}
	_, err := d.pool.Exec(t.Context(), `create table ledger (id bigserial primary key, entry text not null unique, amount numeric)`)
	require.NoError(t, err)
	_, err = rubysteps.ServeSQL(t.Context(), host, d.pool, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	d.engine, err = orchestration.New(t.Context(), orchestration.Config{
		Pool: d.pool, Session: session, Handlers: rubysteps.New(host), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.engine.Close()) })
	return d
}

// step runs a step whose process method has this body. more is added to its
// template.
func (d *database) step(t *testing.T, class, body, more string) *orchestration.StepDetail {
	t.Helper()
	if !strings.Contains(more, "default_retry_limit") {
		more += ", default_retry_limit: 1"
	}
	return &d.run(t, class, body, "  - {name: only, handler_class: "+class+more+"}\n").Steps[0]
}

// run runs a task of these steps. The process method of their class has this body.
func (d *database) run(t *testing.T, class, body, steps string) *orchestration.TaskDetail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	_, err := host.Eval(ctx, "class ::"+class+" < Tasker::StepHandler::Base\ndef process(task, sequence, step)\n"+body+"\nend\nend; nil", class+".rb")
	require.NoError(t, err)
	template, err := templates.Parse([]byte("name: "+class+"\nstep_templates:\n"+steps), "t.yaml")
	require.NoError(t, err)
	s, err := d.engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(`{}`)})
	require.NoError(t, err)
	_, err = d.engine.Run(ctx, s.TaskID)
	require.NoError(t, err)
	detail, err := d.engine.Task(ctx, s.TaskID)
	require.NoError(t, err)
	return detail
}

func (d *database) entries(t *testing.T) []string {
	t.Helper()
	var entries []string
	require.NoError(t, d.pool.QueryRow(t.Context(), `select coalesce(array_agg(entry order by id), '{}') from ledger`).Scan(&entries))
	return entries
}
