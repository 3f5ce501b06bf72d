package rubysteps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/templates"
)

// A Ruby handler whose SQL commits together with its step.
func ExampleServeSQL() {
	ctx := context.Background()
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true, Dir: pgtest.MemoryDir()})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	pool, err := pgxpool.New(ctx, server.URL())
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return orchestration.Migrate(ctx, c.Conn()) })
	if err != nil {
		log.Fatal(err)
	}

	// host is the *rubyhost.Host that this program has booted.
	sql, err := rubysteps.ServeSQL(ctx, host, pool, slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	defer sql.Close(ctx)
	_, err = host.Eval(ctx, `
		Tasker.db.exec("CREATE TABLE visits (page text PRIMARY KEY, n int NOT NULL)")
		class CountVisit < Tasker::StepHandler::Base
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
	defer func() { _ = engine.Close() }()
	template, err := templates.Parse([]byte("name: visit\nstep_templates:\n  - {name: count, handler_class: CountVisit}\n"), "visit.yaml")
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
		done, err := engine.Task(ctx, task.TaskID)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", done.State, done.Steps[0].Results())
	}
	// Output:
	// complete {"n":1}
	// complete {"n":2}
}
