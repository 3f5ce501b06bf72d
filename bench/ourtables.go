package main

import (
	"context"

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
