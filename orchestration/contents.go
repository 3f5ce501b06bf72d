package orchestration

import (
	"context"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// Contents is how much the tables hold.
type Contents struct {
	Tasks      int64
	Unfinished int64 // of Tasks: those that are not at their end
	Attempts   int64 // the recorded attempts of their steps, with their results
}

// ReadContents counts what the tables of any version hold, and changes nothing. In a large
// database it takes as long as reading the tables once.
func ReadContents(ctx context.Context, conn *pgx.Conn) (Contents, error) {
	var c Contents
	var there bool
	if err := conn.QueryRow(ctx, "select to_regclass('tasker.tasks') is not null").Scan(&there); err != nil || !there {
		return c, errors.Wrap(err, "looking for the tables")
	}
	const count = `select count(*), count(*) filter (where state in ('pending', 'in_progress')), (select count(*) from tasker.attempts) from tasker.tasks`
	err := conn.QueryRow(ctx, count).Scan(&c.Tasks, &c.Unfinished, &c.Attempts)
	return c, errors.Wrap(err, "counting the tasks")
}
