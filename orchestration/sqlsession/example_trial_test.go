package sqlsession_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// Trace shows what a handler sends.
func ExampleSession_Trace() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	step.Trace(func(s sqlsession.Traced) { fmt.Println(s.SQL, s.Params, s.Rows, s.Tag, s.Err) })
	for _, st := range []sqlsession.Statement{
		{SQL: "select n from generate_series(1, $1::int) n where $2::text is null", Params: [][]byte{[]byte("3"), nil}},
		{SQL: "select $1::text", Params: [][]byte{[]byte("it's")}},
		{SQL: "select 1/0"},
	} {
		_, _ = step.Exec(ctx, &st) // Trace has the error
	}
	step.Close(ctx)
	// Output:
	// select n from generate_series(1, $1::int) n where $2::text is null ['3' NULL] 3 SELECT 3 <nil>
	// select $1::text ['it''s'] 1 SELECT 1 <nil>
	// select 1/0 [] 0  ERROR: division by zero (SQLSTATE 22012)
}

// A trial ends with a rollback. CheckCommit says whether a commit would have failed.
func ExampleSession_CheckCommit() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	for _, sql := range []string{
		"create temp table seats (number int unique deferrable initially deferred)", "insert into seats values (1), (1)",
	} {
		if _, err := step.Exec(ctx, &sqlsession.Statement{SQL: sql}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(step.Finish())
	fmt.Println(step.CheckCommit(ctx))
	step.Rollback(ctx)
	step.Done(sqlsession.RolledBack)
	// Output:
	// true <nil>
	// committing the step's transaction: ERROR: duplicate key value violates unique constraint "seats_number_key" (SQLSTATE 23505)
}

// Wait is for a step that a person looks at, whatever the server's settings say.
func ExampleSession_Wait() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	config := pool.Config()
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "1min"
	impatient, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	defer impatient.Close()
	for _, wait := range []bool{false, true} {
		step := sqlsession.ForStep(impatient, "")
		if wait {
			step.Wait()
		}
		result, err := step.Exec(ctx, &sqlsession.Statement{SQL: "select current_setting('idle_in_transaction_session_timeout')"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(result.Values))
		step.Close(ctx)
	}
	// Output:
	// 1min
	// 0
}
