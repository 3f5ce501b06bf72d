package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// fill fills the tables of a new database. One task is made by the program itself. SQL
// copies its rows, so the copies have whatever the build that is measured writes. A
// finished task is run to its end before it is copied.
func (b *bench) fill(ctx context.Context, t *tasker, database string, beside tables) (err error) {
	dir, err := os.MkdirTemp(b.dir, "fill-")
	if err != nil {
		return errors.WithStack(err)
	}
	defer func() { err = errors.CombineErrors(err, os.RemoveAll(dir)) }()
	w := Work{DatabaseURL: b.postgres.url(database), Tasks: 1, Levels: []int{1, 2, 1}, SQL: true, dir: dir}
	return b.postgres.with(ctx, database, func(conn *pgx.Conn) error {
		if err := resetAccounts(ctx, conn); err != nil {
			return err
		}
		if beside.Finished > 0 {
			if err := t.submitRare(ctx, w); err != nil {
				return err
			}
			if err := t.Prepare(ctx, conn, w); err != nil {
				return err
			}
			if _, err := b.measure(ctx, t, conn, w, nil); err != nil {
				return err
			}
			ago := time.Duration(0)
			if beside.Pruned {
				ago = 24 * time.Hour
			}
			if err := b.copyLast(ctx, conn, beside.Finished, ago); err != nil {
				return err
			}
		}
		if beside.Later > 0 {
			if _, err := t.run(ctx, w, "migrate", "up"); err != nil {
				return err
			}
			if err := t.submit(ctx, w, "--run-at", "8760h"); err != nil {
				return err
			}
			if err := b.copyLast(ctx, conn, beside.Later, 0); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, "vacuum analyze")
		return errors.WithStack(err)
	})
}

// rareYAML is a task that fails. The lists look for it among all others.
const rareYAML = `name: rare
namespace_name: bench
version: 1.0.0
step_templates:
  - name: s0
    handler_class: Bench::Failing
`

// submitRare submits the task that the lists look for. It is the oldest one.
func (t *tasker) submitRare(ctx context.Context, w Work) error {
	file := filepath.Join(w.dir, "rare.yaml")
	if err := os.WriteFile(file, []byte(rareYAML), 0o600); err != nil {
		return errors.WithStack(err)
	}
	if _, err := t.run(ctx, w, "migrate", "up"); err != nil {
		return err
	}
	_, err := t.run(ctx, w, "submit", file, "--tag", "rare")
	return err
}

// chunk is how many tasks one transaction copies.
const chunk = 50_000

// copyLast copies the last task until there are so many of it. The times of the copies are
// so long ago.
func (b *bench) copyLast(ctx context.Context, conn *pgx.Conn, n int, ago time.Duration) error {
	last, err := lastTask(ctx, conn)
	if err != nil {
		return err
	}
	rows, err := rowsOf(ctx, conn, last)
	if err != nil {
		return err
	}
	began := time.Now()
	for first := 1; first < n; first += chunk {
		until := min(n-1, first+chunk-1)
		if err := copyRows(ctx, conn, rows, first, until, n, ago); err != nil {
			return err
		}
		b.log("filling the tables: %s of %s tasks after %v", thousands(until+1), thousands(n), time.Since(began).Round(time.Second))
	}
	return advance(ctx, conn, rows)
}

// copyRows copies the task's rows for the copies first to until.
func copyRows(ctx context.Context, conn *pgx.Conn, rows []taskRows, first, until, n int, ago time.Duration) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// The copies refer to each other as the task's rows do: no need to check.
		if _, err := tx.Exec(ctx, "set local session_replication_role = replica"); err != nil {
			return errors.WithStack(err)
		}
		for _, r := range rows {
			if _, err := tx.Exec(ctx, r.copySQL(first, until, n, ago)); err != nil {
				return errors.Wrapf(err, "copy rows of %s", r.table)
			}
		}
		return nil
	})
}

// copySQL is the statement that copies the rows.
func (r taskRows) copySQL(first, until, n int, ago time.Duration) string {
	var names, values []string
	for _, c := range r.columns {
		quoted := pgx.Identifier{c.name}.Sanitize()
		value := "s." + quoted
		switch {
		case c.shift > 0:
			value += fmt.Sprintf(" + g * %d", c.shift)
		case c.generated:
			continue
		case c.moment: // as if the copies had been made one after the other, the last one now
			value += fmt.Sprintf(" - (%d - g) * interval '1 ms' - interval '%d s'", n, int(ago.Seconds()))
		}
		names, values = append(names, quoted), append(values, value)
	}
	return fmt.Sprintf("insert into %s (%s) overriding system value select %s from generate_series(%d, %d) g, lateral (select * from %s where %s offset 0) s",
		r.table, strings.Join(names, ", "), strings.Join(values, ", "), first, until, r.table, r.where)
}

// advance sets the sequences behind the copies.
func advance(ctx context.Context, conn *pgx.Conn, rows []taskRows) error {
	for _, r := range rows {
		for _, c := range r.columns {
			if !c.generated {
				continue
			}
			_, err := conn.Exec(ctx, fmt.Sprintf("select setval(pg_get_serial_sequence('%s', '%s'), (select max(%s) from %s))",
				r.table, c.name, pgx.Identifier{c.name}.Sanitize(), r.table))
			if err != nil {
				return errors.WithStack(err)
			}
		}
	}
	return nil
}

// taskRows says where one table has rows of a task.
type taskRows struct {
	table   string
	where   string
	columns []taskColumn
}

type taskColumn struct {
	name      string
	generated bool // it has a sequence
	moment    bool // it is a time
	shift     int  // a number that differs by this from copy to copy
}

func hasColumn(columns []taskColumn, name string) bool {
	return slices.ContainsFunc(columns, func(c taskColumn) bool { return c.name == name })
}
