package localpg_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// A database for the life of a program, such as one of its tests: empty, in a
// temporary folder, and gone with the server.
func Example() {
	ctx := context.Background()
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)

	var sum int
	if err := conn.QueryRow(ctx, "select 40 + 2").Scan(&sum); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum)
	// Output: 42
}
