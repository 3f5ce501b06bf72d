package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/templates"
)

// A program that has its handlers in Go, submits a task and runs it to its end.
func Example() {
	ctx := context.Background()
	pool := openDatabase(ctx) // or pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	defer pool.Close()

	handlers := orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
		"FetchName": orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			return x.Context, nil
		}),
		"Greet": orchestration.StepHandlerFunc(func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			fetched, err := x.Result(ctx, "fetch_name")
			if err != nil {
				return nil, err
			}
			var in struct{ Name string }
			if err := json.Unmarshal(fetched, &in); err != nil {
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

	// A program keeps its templates in files, and reads them with templates.Load.
	template, err := templates.Parse([]byte(`
name: greeting
version: 1.0.0
step_templates:
  - name: fetch_name
    handler_class: FetchName
  - name: greet
    handler_class: Greet
    depends_on_step: fetch_name
`), "greeting.yaml")
	if err != nil {
		log.Fatal(err)
	}
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(`{"name": "Ada"}`)})
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

// privateServer is a PostgreSQL of this process's own. All examples share it,
// and it stops when the process ends.
var privateServer = sync.OnceValues(func() (*localpg.Server, error) {
	return localpg.Start(context.Background(), localpg.Options{Ephemeral: true})
})

// databaseURL is the address of that PostgreSQL.
func databaseURL() string {
	server, err := privateServer()
	if err != nil {
		log.Fatal(err)
	}
	return server.URL()
}

// openDatabase returns a pool on a database with the engine's tables. A program
// with a server of its own does the same with os.Getenv("DATABASE_URL").
func openDatabase(ctx context.Context) *pgxpool.Pool {
	pool, err := pgxpool.New(ctx, databaseURL())
	if err != nil {
		log.Fatal(err)
	}
	migrate(ctx, pool)
	return pool
}

// migrate makes the engine's tables, or brings them to this program's version.
// `tasker-rb migrate up` does the same.
func migrate(ctx context.Context, pool *pgxpool.Pool) {
	err := pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return orchestration.Migrate(ctx, c.Conn()) })
	if err != nil {
		log.Fatal(err)
	}
}

var databases atomic.Int64

// openEmptyDatabase returns a pool on a new database of the private server, for
// examples that must not see the tasks of others.
func openEmptyDatabase(ctx context.Context) *pgxpool.Pool {
	shared := openDatabase(ctx)
	defer shared.Close()
	config := shared.Config()
	config.ConnConfig.Database = fmt.Sprintf("example_%d", databases.Add(1))
	if _, err := shared.Exec(ctx, "create database "+config.ConnConfig.Database); err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	return pool
}

// mustParse reads a template from a text. A program reads a file with
// templates.Load.
func mustParse(text string) *templates.Template {
	template, err := templates.Parse([]byte(text), "example.yaml")
	if err != nil {
		log.Fatal(err)
	}
	return template
}
