package testbed

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// sqlClock has now() in SQL follow the clock. A function of that name comes before
// pg_catalog's in the search_path of the engines' connections; it adds the difference that a
// table holds. The difference is zero until the clock travels, so most tests write nothing.
type sqlClock struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	on   bool
	path string // the search_path of the engines' connections

	mu       sync.Mutex
	shift    time.Duration // that the table holds
	defaults []clockDefault
	known    bool // defaults are those of the present schema
}

const sqlClockSQL = `
	create schema if not exists tasker_testbed;
	create unlogged table if not exists tasker_testbed.clock (shift interval not null);
	truncate tasker_testbed.clock;
	insert into tasker_testbed.clock values ('0');
	create or replace function tasker_testbed.now() returns timestamptz language sql stable parallel safe
		as 'select pg_catalog.now() + (select shift from tasker_testbed.clock)'`

func openSQLClock(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, on bool) (*sqlClock, error) {
	c := &sqlClock{pool: pool, log: log, on: on}
	if !on {
		return c, nil
	}
	if _, err := pool.Exec(ctx, sqlClockSQL); err != nil {
		return nil, errors.WithHint(errors.Wrap(err, "testbed: preparing now() for SQL"),
			"The user of the test database must be allowed to create a schema in it.")
	}
	var path string
	if err := pool.QueryRow(ctx, "select current_setting('search_path')").Scan(&path); err != nil {
		return nil, errors.Wrap(err, "testbed: reading the search_path")
	}
	c.path = clockedPath(path)
	return c, nil
}

// clockedPath is the search_path in which our now() comes before PostgreSQL's.
func clockedPath(path string) string {
	var schemas []string
	for _, schema := range strings.Split(path, ",") {
		schema = strings.TrimSpace(schema)
		if schema != "" && schema != `""` && schema != "pg_catalog" && schema != "tasker_testbed" {
			schemas = append(schemas, schema)
		}
	}
	return strings.Join(append(schemas, "tasker_testbed", "pg_catalog"), ", ")
}

// SearchPath is the search_path with which now() in SQL follows the clock, for connections
// of your own. It is "" without Config.SQLClock.
func (b *Bed) SearchPath() string { return b.sql.path }

// configure gives the connections of an engine their search_path.
func (c *sqlClock) configure(config *pgxpool.Config) {
	if c.on {
		config.ConnConfig.RuntimeParams["search_path"] = c.path
	}
}

// The clock stands still, and real time does not.
const (
	// noticeable is the least difference from the real time that the table follows.
	noticeable = time.Second
	// drift is how far the table may be from the clock then.
	drift = 100 * time.Millisecond
	// travelled is the difference from which other clocks are told. A retry after seconds
	// is no reason.
	travelled = time.Minute
)

// follow returns the function that tells SQL what time it is; nil if SQL has its own.
func (c *sqlClock) follow() func(time.Time) {
	if !c.on {
		return nil
	}
	return c.set
}

func (c *sqlClock) set(to time.Time) {
	shift := time.Until(to)
	if shift.Abs() < noticeable {
		shift = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if shift == c.shift || shift != 0 && (shift-c.shift).Abs() < drift {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.pool.Exec(ctx, "update tasker_testbed.clock set shift = $1", shift); err != nil {
		c.log.Error("testbed: now() in SQL could not be set", "error", err)
		return
	}
	c.shift = shift
}

// clockDefault is a column whose default is a time.
type clockDefault struct{ schema, table, column, text string }

const clockDefaultsSQL = `
	select n.nspname, c.relname, a.attname, pg_get_expr(d.adbin, d.adrelid)
	from pg_attrdef d join pg_class c on c.oid = d.adrelid join pg_namespace n on n.oid = c.relnamespace
	join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
	where n.nspname not in ('tasker', 'tasker_testbed') and a.attgenerated = ''
		and pg_get_expr(d.adbin, d.adrelid) ~* '\m(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\(\)|\m(current_timestamp|current_date|current_time|localtimestamp|localtime)\M'
	order by 1, 2, a.attnum`

// look warns if a statement of a handler reads another clock while time is travelled.
func (c *sqlClock) look(a *attempt, sql string) {
	if !c.on {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shift.Abs() < travelled {
		return
	}
	words := sqlWords(sql)
	for _, name := range otherClocks(words) {
		a.i.bed.warn(fmt.Sprintf("the step %s reads %s in SQL, which is the real time and not the test's; write now(), without a schema", a.x.StepName, name))
	}
	for _, d := range c.defaultsOf(insertions(words)) {
		a.i.bed.warn(fmt.Sprintf("the step %s leaves %s.%s to its default %s, which is the real time and not the test's; give a value", a.x.StepName, d.table, d.column, d.text))
	}
}

// defaultsOf returns the columns that get the real time. The caller must hold c.mu.
func (c *sqlClock) defaultsOf(insertions []insertion) (found []clockDefault) {
	if len(insertions) == 0 {
		return nil
	}
	if !c.known {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		rows, _ := c.pool.Query(ctx, clockDefaultsSQL)
		var err error
		c.defaults, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d clockDefault, err error) {
			return d, row.Scan(&d.schema, &d.table, &d.column, &d.text)
		})
		if err != nil {
			c.log.Warn("testbed: the defaults of the columns could not be read", "error", err)
		}
		c.known = true
	}
	for _, i := range insertions {
		for _, d := range c.defaults {
			if i.leaves(d) {
				found = append(found, d)
			}
		}
	}
	return found
}

// forget takes note that the schema has changed.
func (c *sqlClock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = false
}
