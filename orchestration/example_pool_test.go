package orchestration_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// address is os.Getenv("DATABASE_URL") where there is a server.
func address() string {
	server, err := privateServer()
	if err != nil {
		log.Fatal(err)
	}
	return server.URL()
}

// A pool for an engine is prepared before it is opened.
func ExampleConfigurePool() {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(address())
	if err != nil {
		log.Fatal(err)
	}
	orchestration.ConfigurePool(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()

	var name, interval string
	const sql = "select current_setting('application_name'), current_setting('client_connection_check_interval')"
	if err := pool.QueryRow(ctx, sql).Scan(&name, &interval); err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.HasPrefix(name, "tasker-rb:"), interval)
	// Output: true 2s
}

// Behind a pooler in transaction mode, the engine's session has an address of its own.
func ExampleConfigureSession() {
	ctx := context.Background()
	pool := openDatabase(ctx) // through the pooler
	defer pool.Close()
	session, err := pgx.ParseConfig(address()) // or os.Getenv("TASKER_SESSION_URL")
	if err != nil {
		log.Fatal(err)
	}
	orchestration.ConfigureSession(session)
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Session: session, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(engine.Ready(), engine.Close())
	// Output: <nil> <nil>
}

// A pooler gives a client another number than the server gives the backend.
func ExampleThroughPooler() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, address())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	fmt.Println(orchestration.ThroughPooler(ctx, conn))
	// Output: false <nil>
}

// Of two connections to the server itself, each has a backend of its own. Through a
// pooler in transaction mode the answer is true.
func ExampleSharesBackends() {
	ctx := context.Background()
	var conns [2]*pgx.Conn
	for i := range conns {
		conn, err := pgx.Connect(ctx, address())
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close(ctx)
		conns[i] = conn
	}
	fmt.Println(orchestration.SharesBackends(ctx, conns[0], conns[1]))
	// Output: false <nil>
}

// An engine whose session is lost takes no tasks until it has another one. A program can
// answer a probe of its readiness with Ready.
func ExampleEngine_Ready() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(engine.Ready())
	if err := engine.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(engine.Ready(), orchestration.ErrNotReady))
	// Output:
	// <nil>
	// true
}
