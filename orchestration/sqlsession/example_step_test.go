package sqlsession_test

import (
	"context"
	"fmt"
	"log"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// A step may have an isolation level of its own.
func ExampleForStep() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "serializable")
	result, err := step.Exec(ctx, &sqlsession.Statement{SQL: "show transaction_isolation"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(result.Values))
	step.Finish()
	step.Rollback(ctx)
	// Output: serializable
}

// The transaction begins with the first statement, so a step without SQL costs
// no connection. Begin is for a transaction that has to begin before.
func ExampleSession_Begin() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	fmt.Println(step.Holds())
	if err := step.Begin(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(step.Holds())
	step.Finish()
	step.Rollback(ctx)
	fmt.Println(step.Holds())
	// Output:
	// false
	// true
	// false
}

// A handler in Go gets the transaction as pgx has it, without its end.
func ExampleSession_Tx() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	tx, err := step.Tx(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var sum int
	if err := tx.QueryRow(ctx, "select $1::int + 2", 40).Scan(&sum); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum, tx.Commit(ctx) != nil)
	step.Finish()
	step.Rollback(ctx)
	// Output: 42 true
}

// Statements of a handler in Go end with its step, whatever context they have.
func ExampleSession_Until() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	stepContext, end := context.WithCancel(ctx)
	step := sqlsession.ForStep(pool, "")
	step.Until(stepContext) // before Tx
	tx, err := step.Tx(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "select 1"); err != nil {
		log.Fatal(err)
	}
	end()
	_, err = tx.Exec(context.Background(), "select pg_sleep(3600)")
	fmt.Println(err != nil)
	step.Finish()
	step.Rollback(ctx)
	// Output: true
}

// Finish says whether a transaction has to be ended, and why it cannot be
// committed. Statements that come later get ErrOver.
func ExampleSession_Finish() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	_, err := step.Exec(ctx, &sqlsession.Statement{SQL: "select 1 / 0"})
	fmt.Println(err)
	open, failure := step.Finish()
	fmt.Println(open, failure)
	step.Rollback(ctx)
	_, err = step.Exec(ctx, &sqlsession.Statement{SQL: "select 1"})
	fmt.Println(errors.Is(err, sqlsession.ErrOver))
	// Output:
	// ERROR: division by zero (SQLSTATE 22012)
	// true ERROR: division by zero (SQLSTATE 22012)
	// true
}

// If a statement of the batch fails, nothing of the step is committed.
func ExampleSession_Commit() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	if _, err := pool.Exec(ctx, "drop table if exists sold; create table sold (ticket int primary key)"); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		step := sqlsession.ForStep(pool, "")
		if _, err := step.Exec(ctx, &sqlsession.Statement{SQL: "select 1"}); err != nil {
			log.Fatal(err)
		}
		if open, failure := step.Finish(); !open || failure != nil {
			log.Fatal(open, failure)
		}
		err := step.Commit(ctx, func(batch *pgx.Batch) { batch.Queue("insert into sold values (1)") })
		fate := sqlsession.RolledBack
		if err == nil {
			fate = sqlsession.Committed
		}
		step.Done(fate)
		fmt.Println(fate)
	}
	// Output:
	// committed
	// rolled back
}

// Rollback forgets what the step did.
func ExampleSession_Rollback() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	if _, err := step.Exec(ctx, &sqlsession.Statement{SQL: "create table forgotten (id int)"}); err != nil {
		log.Fatal(err)
	}
	step.Finish()
	step.Rollback(ctx)
	step.Done(sqlsession.RolledBack)
	var exists bool
	err := pool.QueryRow(ctx, "select to_regclass('forgotten') is not null").Scan(&exists)
	fmt.Println(exists, err)
	// Output: false <nil>
}

// A hook learns whether what was done before it is committed. One inside a
// savepoint that is rolled back learns that from the statement that did so.
func ExampleSession_AddHook() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	step.OnEnd(func(hooks []uint64, fate sqlsession.Fate) { fmt.Println("at the end:", hooks, fate) })
	exec := func(sql string) *sqlsession.Result {
		result, err := step.Exec(ctx, &sqlsession.Statement{SQL: sql})
		if err != nil {
			log.Fatal(err)
		}
		return result
	}
	addHook := func(number uint64) {
		if open, err := step.AddHook(ctx, number); !open || err != nil {
			log.Fatal(open, err)
		}
	}
	addHook(1)
	exec("savepoint maybe")
	addHook(2)
	fmt.Println("rolled back:", exec("rollback to savepoint maybe").Ended)

	step.Finish()
	if err := step.Commit(ctx, func(*pgx.Batch) {}); err != nil {
		log.Fatal(err)
	}
	step.Done(sqlsession.Committed)
	// Output:
	// rolled back: [{2 false}]
	// at the end: [1] committed
}

// Done hands over the hooks that are left, once the transaction has ended.
func ExampleSession_Done() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	step.OnEnd(func(hooks []uint64, fate sqlsession.Fate) { fmt.Println(hooks, fate) })
	if _, err := step.AddHook(ctx, 7); err != nil {
		log.Fatal(err)
	}
	step.Finish()
	step.Rollback(ctx)
	step.Done(sqlsession.RolledBack)
	step.Done(sqlsession.RolledBack) // it does nothing more
	// Output: [7] rolled back
}

// OnEnd has a function called with the hooks that are left when the session ends.
func ExampleSession_OnEnd() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	session.OnEnd(func(hooks []uint64, fate sqlsession.Fate) { fmt.Println(hooks, fate) })
	if _, err := session.Exec(ctx, &sqlsession.Statement{SQL: "begin"}); err != nil {
		log.Fatal(err)
	}
	if _, err := session.AddHook(ctx, 1); err != nil {
		log.Fatal(err)
	}
	session.Close(ctx) // rolls back what is open
	// Output: [1] rolled back
}

// A handler may go on after a statement has failed its transaction. The host notes where that
// statement was, so that the step's failure can say it.
func ExampleSession_NotePlace() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	step := sqlsession.ForStep(pool, "")
	_, _ = step.Exec(ctx, &sqlsession.Statement{SQL: "select 1 / 0"})
	step.NotePlace(ctx, []string{"handlers/charge.rb:7:in 'process'"})
	_, failure := step.Finish()
	fmt.Println(failure.Message, failure.Place)
	fmt.Println(failure.RescuedHint() != "")
	step.Rollback(ctx)
	// Output:
	// division by zero [handlers/charge.rb:7:in 'process']
	// true
}
