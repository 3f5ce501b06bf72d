package main

import (
	"context"
	"fmt"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// This file is the only one that knows the engine's tables. The other ones use the
// program's commands and the package orchestration.

// unfinishedSQL finds a task above a number that has not ended, if there is one. The
// newest one is looked at first: it is one of the last to end, so the question costs
// next to nothing until then.
const unfinishedSQL = `select task_id from tasker.tasks where task_id > $1 and state in ('pending', 'in_progress') order by task_id desc limit 1`

// ourDone says whether all tasks above a number have ended.
func ourDone(ctx context.Context, conn *pgx.Conn, above int64) (bool, error) {
	var id int64
	err := conn.QueryRow(ctx, unfinishedSQL, above).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	return false, errors.WithStack(err)
}

// verifyOurs fails unless all tasks above a number are complete, and all their steps.
func verifyOurs(ctx context.Context, conn *pgx.Conn, above int64, w Work) error {
	return errors.CombineErrors(
		expect(ctx, conn, w.Tasks, "complete tasks", "select count(*) from tasker.tasks where task_id > $1 and state = 'complete'", above),
		expect(ctx, conn, w.steps(), "complete steps", "select count(*) from tasker.steps where task_id > $1 and state = 'complete'", above))
}

// lastTask returns the highest number of a task, or 0.
func lastTask(ctx context.Context, conn *pgx.Conn) (id int64, err error) {
	err = conn.QueryRow(ctx, "select coalesce(max(task_id), 0) from tasker.tasks").Scan(&id)
	return id, errors.WithStack(err)
}

// rowsOf finds the tables that have rows of a task, and what has to differ in a copy of
// them: the numbers of the task and of its steps, wherever they occur.
func rowsOf(ctx context.Context, conn *pgx.Conn, task int64) ([]taskRows, error) {
	var stepNumbers int
	err := conn.QueryRow(ctx, "select max(step_id) - min(step_id) + 1 from tasker.steps where task_id = $1", task).Scan(&stepNumbers)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	shifts := map[string]int{"task_id": 1, "step_id": stepNumbers, "parent_id": stepNumbers, "child_id": stepNumbers}
	found, err := conn.Query(ctx, `
		select table_name::text, column_name::text, is_identity = 'YES', data_type = 'timestamp with time zone'
		from information_schema.columns join information_schema.tables using (table_schema, table_name)
		where table_schema = 'tasker' and table_type = 'BASE TABLE' and table_name <> 'workers' and is_generated = 'NEVER'
		order by table_name, ordinal_position`)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	var rows []taskRows
	var table string
	var c taskColumn
	_, err = pgx.ForEachRow(found, []any{&table, &c.name, &c.generated, &c.moment}, func() error {
		table := pgx.Identifier{"tasker", table}.Sanitize()
		if len(rows) == 0 || rows[len(rows)-1].table != table {
			rows = append(rows, taskRows{table: table})
		}
		c.shift = shifts[c.name]
		rows[len(rows)-1].columns = append(rows[len(rows)-1].columns, c)
		return nil
	})
	var ofTasks []taskRows
	for _, r := range rows {
		switch {
		case hasColumn(r.columns, "task_id"):
			r.where = fmt.Sprintf("task_id = %d", task)
		case hasColumn(r.columns, "step_id"):
			r.where = fmt.Sprintf("step_id in (select step_id from tasker.steps where task_id = %d)", task)
		default:
			continue
		}
		ofTasks = append(ofTasks, r)
	}
	return ofTasks, errors.WithStack(err)
}
