package localpg_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

func Example() {
	ctx := context.Background()
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()

	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()

	var sum int
	if err := conn.QueryRow(ctx, "select 40 + 2").Scan(&sum); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sum)
	// Output: 42
}
