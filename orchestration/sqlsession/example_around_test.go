package sqlsession_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// A test has the second statement of a step fail, as if the network were gone. That
// statement does not reach the server.
func ExampleSession_Around() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	statements := 0
	step.Around(func(sql string) (after func(sqlsession.Traced), err error) {
		if statements++; statements == 2 {
			return nil, errors.New("the test wants it")
		}
		return func(t sqlsession.Traced) { fmt.Println(t.SQL, "had", t.Rows, "row") }, nil
	})
	for range 2 {
		if _, err := step.Exec(ctx, &sqlsession.Statement{SQL: "select 1"}); err != nil {
			fmt.Println(err)
		}
	}
	step.Finish()
	step.Rollback(ctx)
	// Output:
	// select 1 had 1 row
	// the connection to PostgreSQL is lost: the test wants it (SQLSTATE 08006)
}
