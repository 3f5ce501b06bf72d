package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// postgres checks the server, the way to it, and what workers may do there.
func (d *doctor) postgres(ctx context.Context) {
	if os.Getenv(databaseURL)+os.Getenv(sessionURL) == "" {
		d.privatePostgres(ctx)
		return
	}
	db, err := openDatabase(ctx, false)
	if err != nil {
		d.say("PostgreSQL", "", err)
		return
	}
	conn, err := dialAsPool(ctx, db.url)
	if err != nil {
		d.say("PostgreSQL", "", err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	d.say("PostgreSQL", conn.PgConn().ParameterStatus("server_version")+" at "+redact(db.url), nil)
	tables := checkTables(ctx, conn)
	d.say("tables", "current", tables)
	pooled, err := d.pooler(ctx, db, conn)
	if err != nil {
		d.say("pooler", "", errors.Wrap(err, db.place()))
		return
	}
	if tables == nil {
		d.takeover(ctx, conn)
	}
	d.bounds(ctx, conn, pooled)
}

// privatePostgres says which installation the private database runs on. It stays on the
// version that made its data.
func (d *doctor) privatePostgres(ctx context.Context) {
	in, err := localpg.Choose(ctx, localpg.Options{})
	if err != nil {
		d.say("PostgreSQL", "", err)
		return
	}
	text := fmt.Sprintf("%s in %s, for the private database", in.Version, in.BinDir)
	if newest := localpg.Installations(ctx)[0]; newest.Major > in.Major {
		text += fmt.Sprintf(" (its data is of PostgreSQL %d; %s is installed too)", in.Major, newest.Version)
	}
	d.say("PostgreSQL", text, nil)
	dir, err := localpg.DefaultDir()
	if err != nil {
		d.say("database", "", err)
		return
	}
	d.privateDatabase(ctx, dir)
	d.leftovers(dir)
}

// privateDatabase starts the private database, as every command does that uses it. It makes
// none: without data, it says what the last start said.
func (d *doctor) privateDatabase(ctx context.Context, dir string) {
	project, _ := localpg.Project() // DefaultDir has found it
	if !localpg.HasData(dir) {
		d.say("database", fmt.Sprintf("of %s, which the first command makes in %s", project, dir), localpg.LastFailure(dir))
		return
	}
	db, err := openDatabase(ctx, false)
	if err == nil {
		err = db.close()
	}
	d.say("database", fmt.Sprintf("of %s, in %s", project, dir), err)
}

// leftovers names the private databases that no project finds any more. dir is the folder of
// this project's one.
func (d *doctor) leftovers(dir string) {
	all, err := localpg.Leftovers()
	if err != nil {
		d.say("left over", "", err)
		return
	}
	_, missing := os.Stat(dir)
	for _, l := range all {
		todo := fmt.Sprintf("`rm -r %s` removes it; if that project is this one, put it in the place of %s", l.Dir, dir)
		switch {
		case l.Running:
			todo = "a command still uses it"
		case missing != nil:
			todo = fmt.Sprintf("`rm -r %s` removes it; if that project is this one, `mv %[1]s %s` brings its tasks here", l.Dir, dir)
		}
		d.say("left over", printable(fmt.Sprintf("the database of %s, which is not there any more, in %s, %s: %s", l.Project, l.Dir, sizeText(float64(l.Bytes)), todo)), nil)
	}
}

// dialAsPool opens a connection with the settings of a worker's pool.
func dialAsPool(ctx context.Context, address string) (*pgx.Conn, error) {
	config, err := parseAddress(databaseURL, address)
	if err != nil {
		return nil, err
	}
	orchestration.ConfigureSession(config.ConnConfig)
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, connectError(databaseURL, &config.ConnConfig.Config, err)
	}
	return conn, nil
}

// pooler says whether there is a pooler in between, and where the engine's session is.
func (d *doctor) pooler(ctx context.Context, db *database, conn *pgx.Conn) (pooled bool, err error) {
	pooled, err = orchestration.ThroughPooler(ctx, conn)
	if err != nil {
		return false, err
	}
	shared, err := sharesBackends(ctx, databaseURL, db.url, conn)
	switch {
	case err != nil:
		return pooled, err
	case !pooled:
		d.say("pooler", "none: a connection has a backend of its own", nil)
	case shared:
		d.say("pooler", "one in transaction mode: good for everything but the engine's session", nil)
	default:
		d.say("pooler", "one in session mode: good for everything", nil)
	}
	switch {
	case db.direct != "":
		d.say("session", sessionURL+" leads to the same database, at "+redact(db.direct), db.checkDirect(ctx))
	case shared:
		d.say("session", "", errors.WithHint(errors.Newf("%s is not set, and the pooler gives no session", sessionURL), sessionHint))
	default:
		d.say("session", "through "+databaseURL+"; "+sessionURL+" is not set", nil)
	}
	return pooled, nil
}

// takeoverSQL returns the role, whether it may end the backends of all other roles, and
// the roles of present workers whose backends it may not end.
const takeoverSQL = `
	select current_user::text, s.super or s.signals, array(
		select distinct r.rolname::text
		from tasker.workers w
		join pg_stat_activity a on a.pid = w.backend_pid and coalesce(a.backend_start, w.backend_start) = w.backend_start
		join pg_roles r on r.oid = a.usesysid
		where not s.super and (r.rolsuper or not s.signals and not pg_has_role(r.oid, 'USAGE'))
		order by 1)
	from (select rolsuper as super, pg_has_role('pg_signal_backend', 'USAGE') as signals from pg_roles where rolname = current_user) s`

// takeover says whether this role may end the connections that a dead worker has left.
func (d *doctor) takeover(ctx context.Context, conn *pgx.Conn) {
	var role string
	var all bool
	var others []string
	switch err := conn.QueryRow(ctx, takeoverSQL).Scan(&role, &all, &others); {
	case err != nil:
		d.say("takeover", "", errors.Wrap(err, "asking for the rights of the role"))
	case len(others) > 0:
		d.say("takeover", "", errors.WithHintf(
			errors.Newf("%s may not end the connections of workers with the role %s, if they are frozen or lost", role, strings.Join(others, ", ")),
			"Let all workers use one role, or GRANT pg_signal_backend TO %s. Until then, the bounds below end their row locks.", pgx.Identifier{role}.Sanitize()))
	case all:
		d.say("takeover", role+" may end the connections of dead workers with any role", nil)
	default:
		d.say("takeover", role+" may end the connections of dead workers with the same role; for other roles it needs pg_signal_backend", nil)
	}
}

// boundsSQL returns the settings that end a lost worker's row locks where no other worker
// may end its connections. Not every server has all of them.
const boundsSQL = `
	select coalesce(string_agg(name || ' ' || case setting when '0' then 'off' else current_setting(name) end, ', ' order by name), '')
	from pg_settings where name in ('tcp_user_timeout', 'client_connection_check_interval') and ($1 or name <> 'tcp_user_timeout')`

// bounds says when a lost worker's row locks end by themselves.
func (d *doctor) bounds(ctx context.Context, conn *pgx.Conn, pooled bool) {
	var settings string
	tcp := !strings.HasPrefix(conn.Config().Host, "/")
	err := conn.QueryRow(ctx, boundsSQL, tcp || pooled).Scan(&settings)
	where := "on each connection"
	if pooled {
		where = "on the server; the pooler has its own for its clients"
	}
	d.say("bounds", "idle_in_transaction_session_timeout from each step's timeout, "+settings+" "+where, errors.Wrap(err, "asking for settings"))
}
