package sqlsession_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// The life of a step's transaction: the handler's statements, the engine's own,
// and one commit for both. A text of the handler's cannot end the transaction.
func Example() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	if _, err := pool.Exec(ctx, "drop table if exists done; create table done (step text)"); err != nil {
		log.Fatal(err)
	}

	step := sqlsession.ForStep(pool, "")
	insert := &sqlsession.Statement{SQL: "insert into done values ($1)", Params: [][]byte{[]byte("by the handler")}}
	if _, err := step.Exec(ctx, insert); err != nil {
		log.Fatal(err)
	}
	_, err := step.Exec(ctx, &sqlsession.Statement{SQL: "commit"})
	fmt.Println("commit is refused:", err != nil)

	// The handler has returned. Its session takes nothing more.
	open, failure := step.Finish()
	if !open || failure != nil {
		log.Fatal(open, failure)
	}
	err = step.Commit(ctx, func(batch *pgx.Batch) {
		batch.Queue("insert into done values ('by the engine')")
	})
	if err != nil {
		log.Fatal(err)
	}
	step.Done(sqlsession.Committed)

	rows, err := pool.Query(ctx, "select step from done")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pgx.CollectRows(rows, pgx.RowTo[string]))
	// Output:
	// commit is refused: true
	// [by the handler by the engine] <nil>
}

// privateServer is a PostgreSQL of this process's own. All examples share it,
// and it stops when the process ends.
var privateServer = sync.OnceValues(func() (*localpg.Server, error) {
	return localpg.Start(context.Background(), localpg.Options{Ephemeral: true})
})

// openDatabase is pgxpool.New(ctx, os.Getenv("DATABASE_URL")) where there is a
// server already.
func openDatabase(ctx context.Context) *pgxpool.Pool {
	server, err := privateServer()
	if err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, server.URL())
	if err != nil {
		log.Fatal(err)
	}
	return pool
}
