package rubysteps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/templates"
)

// A Ruby handler whose SQL commits together with its step.
func ExampleServeSQL() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	host := bootedHost()
	sql, err := rubysteps.ServeSQL(ctx, host, pool, slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	defer sql.Close(ctx)
	_, err = host.Eval(ctx, `
		Tasker.db.exec("DROP TABLE IF EXISTS visits")
		Tasker.db.exec("CREATE TABLE visits (page text PRIMARY KEY, n int NOT NULL)")
		class ExampleCountVisit < Tasker::StepHandler::Base
			def process(task, _sequence, _step)
				Tasker.db.first(<<~SQL, [task.context[:page]])
					INSERT INTO visits VALUES ($1, 1) ON CONFLICT (page) DO UPDATE SET n = visits.n + 1 RETURNING n
				SQL
			end
		end
		nil`, "count_visit.rb")
	if err != nil {
		log.Fatal(err)
	}
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: rubysteps.New(host)})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template, err := templates.Parse([]byte("name: visit\nstep_templates: [{name: count, handler_class: ExampleCountVisit}]"), "visit.yaml")
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(`{"page": "/"}`)})
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
	}
	// Output:
	// complete {"n":1}
	// complete {"n":2}
}

// A program that may need no database opens one when Ruby code first asks for it
// outside a step.
func ExampleServeLazySQL() {
	ctx := context.Background()
	host := bootedHost()
	open := sync.OnceValues(func() (*pgxpool.Pool, error) {
		fmt.Println("opening the database")
		return openDatabase(ctx), nil
	})
	sql, err := rubysteps.ServeLazySQL(ctx, host, func(context.Context) (*pgxpool.Pool, error) { return open() }, slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	for _, ruby := range []string{`"no database yet"`, `Tasker.db.first("SELECT 40 + 2 AS sum")`} {
		value, err := host.Eval(ctx, ruby, "example.rb")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(value))
	}
	sql.Close(ctx)
	if pool, err := open(); err == nil {
		pool.Close()
	}
	// Output:
	// "no database yet"
	// opening the database
	// {"sum":42}
}

// Close rolls back what Ruby code has left open outside steps, and gives the
// connections back. Close the pool after it.
func ExampleSQL_Close() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	host := bootedHost()
	sql, err := rubysteps.ServeSQL(ctx, host, pool, slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	_, err = host.Eval(ctx, `
		Tasker.db.exec("BEGIN")
		Tasker.db.exec("CREATE TABLE left_open (id int)")
		nil`, "example.rb")
	if err != nil {
		log.Fatal(err)
	}
	sql.Close(ctx)
	var exists bool
	err = pool.QueryRow(ctx, "select to_regclass('left_open') is not null").Scan(&exists)
	fmt.Println(exists, err)
	// Output: false <nil>
}
