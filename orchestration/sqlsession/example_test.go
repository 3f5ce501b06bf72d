package sqlsession_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// The life of a step's transaction: its statements, the engine's own writes,
// and one commit for both.
func ExampleForStep() {
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

	// Outside steps each statement commits by itself.
	plain := sqlsession.Plain(pool)
	if _, err := plain.Exec(ctx, &sqlsession.Statement{SQL: "create table done (step text)"}); err != nil {
		log.Fatal(err)
	}

	step := sqlsession.ForStep(pool, "")
	insert := &sqlsession.Statement{SQL: "insert into done values ($1)", Params: [][]byte{[]byte("by the handler")}}
	if _, err := step.Exec(ctx, insert); err != nil {
		log.Fatal(err)
	}
	_, err = step.Exec(ctx, &sqlsession.Statement{SQL: "commit"})
	fmt.Println(err)
	open, failure := step.Finish()
	fmt.Println(open, failure == nil)
	err = step.Commit(ctx, func(batch *pgx.Batch) {
		batch.Queue("insert into done values ('by the engine')")
	})
	if err != nil {
		log.Fatal(err)
	}

	result, err := plain.Exec(ctx, &sqlsession.Statement{SQL: "select string_agg(step, ', ') from done"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Values)
	// Output:
	// COMMIT is not possible inside a step: its transaction is the engine's, and commits with the step's results (SQLSTATE 2D000)
	// true true
	// by the handler, by the engine
}
