package localpg_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// A program that needs the same tables again and again has them made once. Each start
// then copies the data, in memory if there is room.
func ExampleMemoryDir() {
	ctx := context.Background()
	cache, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(cache)
	prepared := &localpg.Prepared{Key: "things-1", Dir: cache, Fill: func(ctx context.Context, url string) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "create table things (name text)")
		fmt.Println("made")
		return err
	}}
	for range 2 {
		server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true, Dir: localpg.MemoryDir(), Prepared: prepared})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("started")
		if err := server.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// made
	// started
	// started
}
