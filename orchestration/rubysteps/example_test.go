package rubysteps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// A task with a step in Go and one in Ruby. A class that Go has no handler for is
// looked up in Ruby.
func Example() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	host := bootedHost()
	_, err := host.Eval(ctx, `
		class ExampleGreet < Tasker::StepHandler::Base
			def process(task, sequence, _step)
				{ greeting: "#{sequence.get_results("choose")}, #{task.context[:name]}" }
			end
		end
		nil`, "greet.rb") // a program has its handlers in files, and calls host.LoadDir
	if err != nil {
		log.Fatal(err)
	}

	choose := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return json.Marshal("good morning")
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool: pool,
		Handlers: orchestration.Handlers{
			ByClass: map[string]orchestration.StepHandler{"Choose": orchestration.StepHandlerFunc(choose)},
			Next:    rubysteps.New(host),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template, err := templates.Parse([]byte(`
name: greeting
step_templates:
  - {name: choose, handler_class: Choose}
  - {name: greet, handler_class: ExampleGreet, depends_on_step: choose}
`), "greeting.yaml")
	if err != nil {
		log.Fatal(err)
	}
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(`{"name": "Ada"}`)})
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
	fmt.Println(string(detail.Steps[1].Results()))
	// Output: {"greeting":"good morning, Ada"}
}

// Open is the short way in: the pool, the tables, Ruby with the handlers of a folder, and
// handlers in Go. A program leaves Host out, and Open boots Ruby.
func ExampleOpen() {
	ctx := context.Background()
	server, err := privateServer()
	if err != nil {
		log.Fatal(err)
	}
	choose := func(context.Context, struct{}, *orchestration.StepExecution) (string, error) {
		return "good evening", nil
	}
	engine, err := rubysteps.Open(ctx, server.URL(), rubysteps.Config{
		Folders: []string{"testdata/open"},
		Go:      map[string]orchestration.StepHandler{"Choose": orchestration.Handle(choose)},
		Host:    bootedHost(),
		Engine:  orchestration.Config{Migrate: true},
	})
	if err != nil {
		log.Fatal(err, orchestration.Hint(err))
	}
	defer engine.Close()
	template, err := templates.Parse([]byte(`
name: evening
step_templates:
  - {name: choose, handler_class: Choose}
  - {name: greet, handler_class: OpenExample::Greet, depends_on_step: choose}
`), "evening.yaml")
	if err != nil {
		log.Fatal(err)
	}
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(`{"name": "Ada"}`)})
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
	fmt.Println(string(detail.Steps[1].Results()))
	// Output: "good evening, Ada"
}

// Close ends what Open has begun. A host that was given lives on.
func ExampleEngine_Close() {
	ctx := context.Background()
	server, err := privateServer()
	if err != nil {
		log.Fatal(err)
	}
	engine, err := rubysteps.Open(ctx, server.URL(), rubysteps.Config{Host: bootedHost(), Engine: orchestration.Config{Migrate: true}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(engine.Close(), engine.Pool().Ping(ctx))
	fmt.Println(bootedHost().Health(ctx))
	// Output:
	// <nil> closed pool
	// <nil>
}

// bootedHost is the host that this process has booted: a process does that once,
// with rubyhost.Boot, and a program does it in main.
func bootedHost() *rubyhost.Host { return host }

// privateServer is a PostgreSQL of this process's own. All examples share it,
// and it stops when the process ends.
var privateServer = sync.OnceValues(func() (*localpg.Server, error) {
	return localpg.Start(context.Background(), localpg.Options{Ephemeral: true})
})

// openDatabase returns a pool on a database with the engine's tables. A program
// with a server of its own does the same with os.Getenv("DATABASE_URL").
func openDatabase(ctx context.Context) *pgxpool.Pool {
	server, err := privateServer()
	if err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, server.URL())
	if err != nil {
		log.Fatal(err)
	}
	err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return orchestration.Migrate(ctx, c.Conn()) })
	if err != nil {
		log.Fatal(err)
	}
	return pool
}
