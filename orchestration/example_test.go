package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/templates"
)

// exampleTemplate is a template in a file of its own in real life.
const exampleTemplate = `
name: greeting
version: 1.0.0
step_templates:
  - name: fetch_name
    handler_class: FetchName
  - name: greet
    handler_class: Greet
    depends_on_step: fetch_name
    backoff: {curve: none}
`

// exampleServer is a PostgreSQL of this process's own.
var exampleServer = sync.OnceValues(func() (*localpg.Server, error) {
	return localpg.Start(context.Background(), localpg.Options{Ephemeral: true, Dir: pgtest.MemoryDir()})
})

// connect returns a pool on a database with the engine's tables.
func connect(ctx context.Context) (*pgxpool.Pool, error) {
	server, err := exampleServer()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, server.URL())
	if err != nil {
		return nil, err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	return pool, orchestration.Migrate(ctx, conn.Conn())
}

// A program that has its handlers in Go, submits a task and runs it to its end.
func Example() {
	ctx := context.Background()
	pool, err := connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	handlers := orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
		"FetchName": orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			return x.Context, nil
		}),
		"Greet": orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			var in struct{ Name string }
			if err := json.Unmarshal(x.Result("fetch_name"), &in); err != nil {
				return nil, err
			}
			return json.Marshal("hello, " + in.Name)
		}),
	}}
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: handlers})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	tpl, err := templates.Parse([]byte(exampleTemplate), "greeting.yaml")
	if err != nil {
		log.Fatal(err)
	}
	task, err := engine.Submit(ctx, orchestration.Submission{Template: tpl, Context: json.RawMessage(`{"name": "Ada"}`)})
	if err != nil {
		log.Fatal(err)
	}
	outcome, err := engine.Run(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	detail, err := engine.Task(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome.State, string(detail.Steps[1].Results()))
	// Output: complete "hello, Ada"
}

// A handler whose SQL is committed with its results, and which says of a
// failure when to try again, or that trying again is of no use.
func ExampleStepExecution_Tx() {
	charge := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx) // a connection from here on, not before
		if err != nil {
			return nil, err
		}
		var balance int64
		err = tx.QueryRow(ctx, "update accounts set balance = balance - 10 where id = 1 returning balance").Scan(&balance)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil, &orchestration.StepError{Class: "Payments::NoAccount", Message: "there is no account 1", Permanent: true}
		case err != nil:
			return nil, err
		case balance < 0:
			payday := 24 * time.Hour
			return nil, &orchestration.StepError{Class: "Payments::NoFunds", Message: "try on payday", RetryAfter: &payday}
		}
		return json.Marshal(balance)
	}
	ctx := context.Background()
	pool, err := connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, "create table accounts (id int, balance bigint); insert into accounts values (1, 15)"); err != nil {
		log.Fatal(err)
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Charge": orchestration.StepHandlerFunc(charge)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	tpl, err := templates.Parse([]byte("name: charge\nversion: 1.0.0\nstep_templates: [{name: charge, handler_class: Charge}]"), "charge.yaml")
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		task, err := engine.Submit(ctx, orchestration.Submission{Template: tpl})
		if err != nil {
			log.Fatal(err)
		}
		outcome, err := engine.Handle(ctx, task.TaskID) // does not wait for retries
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
	// in_progress 5
}

// A task that is submitted in the transaction that makes it necessary, and a
// worker that is stopped by its context.
func ExampleEngine_Work() {
	ctx := context.Background()
	pool, err := connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	done := make(chan int64, 1)
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool: pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
			"FetchName": nothing, "Greet": nothing,
		}},
		OnEvent: func(e orchestration.Event) {
			if e.Kind == orchestration.EventTaskEnded {
				done <- e.TaskID
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	tpl, err := templates.Parse([]byte(exampleTemplate), "greeting.yaml")
	if err != nil {
		log.Fatal(err)
	}

	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- engine.Work(working, orchestration.WorkerConfig{MaxTasks: 8}) }()

	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// ... the program's own statements ...
		_, err := engine.SubmitTx(ctx, tx, orchestration.Submission{Template: tpl, Initiator: "checkout"})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	<-done
	stop()
	fmt.Println(<-ended)
	// Output: <nil>
}

var nothing = orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
	return nil, nil
})

// A person looks for what failed, and has it tried again.
func ExampleEngine_RetryTasks() {
	ctx := context.Background()
	pool, err := connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	filter := orchestration.Filter{ErrorClass: "Gateway::Down", CreatedAfter: time.Now().Add(-24 * time.Hour)}
	by := orchestration.By{Actor: "ada", Reason: "the gateway is back"}
	retried, err := engine.RetryTasks(ctx, filter, by, false)
	fmt.Println(len(retried), err)
	// Output: 0 <nil>
}
