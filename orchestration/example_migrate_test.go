package orchestration_test

import (
	"context"
	"fmt"
	"log"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Migrate makes the tables, or brings them to this program's version. Any number
// of processes may call it when they start.
func ExampleMigrate() {
	ctx := context.Background()
	conn := connectToEmptyDatabase(ctx)
	defer conn.Close(ctx)
	fmt.Println(orchestration.Migrate(ctx, conn))
	fmt.Println(orchestration.Migrate(ctx, conn)) // nothing is left to do
	// Output:
	// <nil>
	// <nil>
}

// MigrateDown undoes migrations. Version 0 drops all tables of the engine, with
// everything in them; the tables of others are in other schemas.
func ExampleMigrateDown() {
	ctx := context.Background()
	conn := connectToEmptyDatabase(ctx)
	defer conn.Close(ctx)
	if err := orchestration.Migrate(ctx, conn); err != nil {
		log.Fatal(err)
	}
	if err := orchestration.MigrateDown(ctx, conn, 0); err != nil {
		log.Fatal(err)
	}
	schema, err := orchestration.ReadSchema(ctx, conn)
	fmt.Println(schema.Version, err)
	// Output: 0 <nil>
}

// MigrateDownIf asks in the same transaction: no task can come in between.
func ExampleMigrateDownIf() {
	ctx := context.Background()
	conn := connectToEmptyDatabase(ctx)
	defer conn.Close(ctx)
	if err := orchestration.Migrate(ctx, conn); err != nil {
		log.Fatal(err)
	}
	onlyEmpty := func(c orchestration.Contents) error {
		fmt.Println("tasks:", c.Tasks)
		if c.Tasks > 0 {
			return errors.New("there are tasks")
		}
		return nil
	}
	schema, _ := orchestration.ReadSchema(ctx, conn)
	fmt.Println(orchestration.MigrateDownIf(ctx, conn, schema.Version-1, onlyEmpty))
	// Output:
	// tasks: 0
	// <nil>
}

// ReadSchema reads which version the tables have, and changes nothing.
func ExampleReadSchema() {
	ctx := context.Background()
	conn := connectToEmptyDatabase(ctx)
	defer conn.Close(ctx)
	before, err := orchestration.ReadSchema(ctx, conn)
	if err != nil {
		log.Fatal(err)
	}
	if err := orchestration.Migrate(ctx, conn); err != nil {
		log.Fatal(err)
	}
	after, err := orchestration.ReadSchema(ctx, conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(before.Version, after.Version == after.Latest)
	// Output: 0 true
}

// Current compares the two versions of a Schema: the tables' and the program's.
func ExampleSchema_Current() {
	fmt.Println(orchestration.Schema{Version: 2, Latest: 3}.Current())
	fmt.Println(orchestration.Schema{Version: 3, Latest: 3}.Current())
	// Output:
	// false
	// true
}

// Supported also accepts newer tables, if they say that this program may work on them.
func ExampleSchema_Supported() {
	fmt.Println(orchestration.Schema{Version: 8, Oldest: 6, Latest: 6}.Supported())
	fmt.Println(orchestration.Schema{Version: 8, Oldest: 7, Latest: 6}.Supported())
	// Output:
	// true
	// false
}

// CheckSchema says what is wrong with the tables, and what to do: for a readiness
// check, or before a program submits without an engine that runs.
func ExampleCheckSchema() {
	ctx := context.Background()
	conn := connectToEmptyDatabase(ctx)
	defer conn.Close(ctx)
	err := orchestration.CheckSchema(ctx, conn)
	switch {
	case errors.Is(err, orchestration.ErrSchemaOlder):
		fmt.Println("migrate first:", errors.FlattenHints(err))
	case errors.Is(err, orchestration.ErrSchemaNewer):
		fmt.Println("update this program")
	case err != nil:
		log.Fatal(err)
	}
	if err := orchestration.Migrate(ctx, conn); err != nil {
		log.Fatal(err)
	}
	fmt.Println(orchestration.CheckSchema(ctx, conn))
	// Output:
	// migrate first: Create them with `tasker-rb migrate up`.
	// <nil>
}

// CheckWritable finds a standby, or a role that may only read.
func ExampleCheckWritable() {
	ctx := context.Background()
	conn := connectToEmptyDatabase(ctx)
	defer conn.Close(ctx)
	fmt.Println(orchestration.CheckWritable(ctx, conn))
	if _, err := conn.Exec(ctx, "set default_transaction_read_only = on"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(orchestration.CheckWritable(ctx, conn))
	// Output:
	// <nil>
	// the database is read-only
}

// connectToEmptyDatabase is pgx.Connect(ctx, os.Getenv("DATABASE_URL")) with a
// database that has no tables yet.
func connectToEmptyDatabase(ctx context.Context) *pgx.Conn {
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

// SchemaDigest is a key for databases that are kept and copied: it changes with the
// migrations.
func ExampleSchemaDigest() {
	kept := "template_" + orchestration.SchemaDigest()
	fmt.Println(len(kept))
	// Output: 25
}

// ReadContents counts before something is dropped.
func ExampleReadContents() {
	ctx := context.Background()
	conn := connectToEmptyDatabase(ctx)
	defer conn.Close(ctx)
	if err := orchestration.Migrate(ctx, conn); err != nil {
		log.Fatal(err)
	}
	c, err := orchestration.ReadContents(ctx, conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d tasks, %d of them unfinished, %d attempts\n", c.Tasks, c.Unfinished, c.Attempts)
	// Output: 0 tasks, 0 of them unfinished, 0 attempts
}
