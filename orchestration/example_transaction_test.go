package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// What a handler does in its step's transaction is committed together with the
// step's results. When the handler fails, it is rolled back.
func ExampleStepExecution_Tx() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	if _, err := pool.Exec(ctx, "drop table if exists accounts; create table accounts (id int, balance bigint); insert into accounts values (1, 15)"); err != nil {
		log.Fatal(err)
	}
	charge := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx) // it takes a connection here, not before
		if err != nil {
			return nil, err
		}
		var balance int64
		err = tx.QueryRow(ctx, "update accounts set balance = balance - 10 where id = 1 returning balance").Scan(&balance)
		if err != nil {
			return nil, err
		}
		if balance < 0 {
			return nil, &orchestration.StepError{Class: "NoFunds", Message: "the account has too little", Permanent: true}
		}
		return json.Marshal(balance)
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Charge": orchestration.StepHandlerFunc(charge)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse("name: charge\nstep_templates: [{name: charge, handler_class: Charge}]")
	for range 2 {
		task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
		if err != nil {
			log.Fatal(err)
		}
		outcome, err := engine.Run(ctx, task.TaskID)
		if err != nil {
			log.Fatal(err)
		}
		var balance int64
		if err := pool.QueryRow(ctx, "select balance from accounts").Scan(&balance); err != nil {
			log.Fatal(err)
		}
		fmt.Println(outcome.State, balance)
	}
	// Output:
	// complete 5
	// error 5
}

// A failed statement fails the step, unless it is inside a savepoint that the
// handler rolls back.
func ExampleStepExecution_Tx_savepoint() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	if _, err := pool.Exec(ctx, "drop table if exists visits; create table visits (page text primary key, n int); insert into visits values ('/', 1)"); err != nil {
		log.Fatal(err)
	}
	count := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		inserted := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
			_, err := savepoint.Exec(ctx, "insert into visits values ('/', 1)")
			return err
		})
		if inserted == nil {
			return json.Marshal("inserted")
		}
		if _, err := tx.Exec(ctx, "update visits set n = n + 1 where page = '/'"); err != nil {
			return nil, err
		}
		return json.Marshal("updated")
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Count": orchestration.StepHandlerFunc(count)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	task, err := engine.Submit(ctx, orchestration.Submission{Template: mustParse("name: count\nstep_templates: [{name: count, handler_class: Count}]")})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := engine.Run(ctx, task.TaskID); err != nil {
		log.Fatal(err)
	}
	detail, err := engine.Task(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.State, string(detail.Steps[0].Results()))
	// Output: complete "updated"
}

// A resolver for handlers in another language passes their SQL on to the step's
// session, as text with parameters. Package rubysteps does so for Ruby.
func ExampleStepExecution_SQL() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	script := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		result, err := x.SQL().Exec(ctx, &sqlsession.Statement{
			SQL:    "select $1::int * 2",
			Params: [][]byte{[]byte("21")},
		})
		if err != nil {
			return nil, err
		}
		return json.RawMessage(result.Values), nil
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Script": orchestration.StepHandlerFunc(script)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	task, err := engine.Submit(ctx, orchestration.Submission{Template: mustParse("name: script\nstep_templates: [{name: script, handler_class: Script}]")})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := engine.Run(ctx, task.TaskID); err != nil {
		log.Fatal(err)
	}
	detail, err := engine.Task(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(detail.Steps[0].Results()))
	// Output: 42
}
