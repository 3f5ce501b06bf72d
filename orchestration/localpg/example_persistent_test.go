package localpg_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// exampleDir is a folder for a database. Without Options.Dir, it is DefaultDir.
func exampleDir() string {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // root's server runs as another user, who has to get there
		log.Fatal(err)
	}
	return dir
}

// runSQL runs a statement on a connection of its own.
func runSQL(ctx context.Context, server *localpg.Server, sql string) error {
	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// Data stays from one start to the next. The first start of all makes the
// database, which takes about a second. Settings are those of postgresql.conf.
func ExampleStart() {
	ctx := context.Background()
	dir := exampleDir()
	defer os.RemoveAll(dir)
	for _, statement := range []string{
		"create table notes (text text)",
		"insert into notes values ('the table is still here')",
	} {
		server, err := localpg.Start(ctx, localpg.Options{
			Dir:      dir,
			Settings: map[string]string{"log_statement": "ddl"},
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(runSQL(ctx, server, statement))
		text, err := os.ReadFile(server.LogFile())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("logged:", strings.Contains(string(text), statement))
		if err := server.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// <nil>
	// logged: true
	// <nil>
	// logged: false
}

// A second start in the same folder, by this process or by another, joins the
// server that is up. It stops when the last share is given back.
func ExampleServer_Close() {
	ctx := context.Background()
	dir := exampleDir()
	defer os.RemoveAll(dir)
	first, err := localpg.Start(ctx, localpg.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	second, err := localpg.Start(ctx, localpg.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.URL() == second.URL())
	if err := first.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(runSQL(ctx, second, "select 1"))
	if err := second.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(runSQL(ctx, second, "select 1") != nil)
	// Output:
	// true
	// <nil>
	// true
}

// DefaultDir is the folder of the database that all commands in a project share.
func ExampleDefaultDir() {
	for name, value := range map[string]string{"XDG_STATE_HOME": "/home/ada/state", "TASKER_PROJECT": "/usr"} {
		before := os.Getenv(name)
		defer os.Setenv(name, before)
		os.Setenv(name, value)
	}
	fmt.Println(localpg.DefaultDir())
	// Output: /home/ada/state/tasker-rb/projects/usr-894d731f69bb <nil>
}

// Project is the folder whose commands share a database: here the nearest with a .git.
func ExampleProject() {
	project, err := localpg.Project()
	if err != nil {
		log.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.HasPrefix(here, project))
	// Output: true
}

// Made says whether Start found the database or made it, for a line to the user.
func ExampleServer_Made() {
	dir := exampleDir()
	defer os.RemoveAll(dir)
	for range 2 {
		server, err := localpg.Start(context.Background(), localpg.Options{Dir: dir})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(server.Made(), server.Dir() == dir)
		if err := server.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// true true
	// false true
}

// Dir is where the data and the log are.
func ExampleServer_Dir() {
	server, err := localpg.Start(context.Background(), localpg.Options{Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	fmt.Println(strings.HasPrefix(server.LogFile(), server.Dir()))
	// Output: true
}

// Installations says which PostgreSQL servers this machine has, the newest first.
// Start takes the newest that can read the data, or the one that BinDir names.
func ExampleInstallations() {
	found := localpg.Installations(context.Background())
	fmt.Println(len(found) > 0)
	_, err := localpg.Start(context.Background(), localpg.Options{Ephemeral: true, BinDir: "/nowhere"})
	fmt.Println(err != nil, errors.FlattenHints(err) != "")
	// Output:
	// true
	// true true
}

// Data stays on the version of PostgreSQL that made it. Choose says which
// installation that is, and starts nothing.
func ExampleChoose() {
	ctx := context.Background()
	dir := exampleDir()
	defer os.RemoveAll(dir)
	os.Mkdir(filepath.Join(dir, "data"), 0o700)
	os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600)
	_, err := localpg.Choose(ctx, localpg.Options{Dir: dir})
	fmt.Println(strings.Contains(err.Error(), "was made by PostgreSQL 9, but only"))
	in, err := localpg.Choose(ctx, localpg.Options{Ephemeral: true})
	fmt.Println(in == localpg.Installations(ctx)[0], err)
	// Output:
	// true
	// true <nil>
}

// A database stays when its project's folder is gone.
func ExampleLeftovers() {
	state := exampleDir()
	defer os.RemoveAll(state)
	os.Setenv("XDG_STATE_HOME", state)
	defer os.Unsetenv("XDG_STATE_HOME")
	dir := filepath.Join(state, "tasker-rb", "projects", "shop-0123456789ab")
	os.MkdirAll(dir, 0o755)
	os.WriteFile(filepath.Join(dir, "project"), []byte("/nowhere/shop\n"), 0o644)
	all, err := localpg.Leftovers()
	fmt.Println(len(all), err)
	fmt.Println(filepath.Base(all[0].Dir), all[0].Project, all[0].Running)
	// Output:
	// 1 <nil>
	// shop-0123456789ab /nowhere/shop false
}

// A database that is not there yet has no data. Why its last start failed is in its log.
func ExampleLastFailure() {
	dir := exampleDir()
	defer os.RemoveAll(dir)
	fmt.Println(localpg.HasData(dir), localpg.LastFailure(dir))

	// What a start on a full disk leaves there:
	line := "tasker-rb-localpg: initdb failed (exit status 1): error: could not write: No space left on device\n"
	if err := os.WriteFile(filepath.Join(dir, "postgres.log"), []byte(line), 0o600); err != nil {
		log.Fatal(err)
	}
	fmt.Println(localpg.LastFailure(dir))
	// Output:
	// false <nil>
	// localpg: the last start failed: initdb failed (exit status 1): error: could not write: No space left on device
}
