package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	require.JSONEq(t, `{"version": 0, "latest": 9, "oldest": 0, "current": false, "supported": false}`, p.run("migrate", "status", "--output", "json").stdout)
	require.Equal(t, "version 9 of 9\n", p.run("migrate", "up").stdout)
	require.Equal(t, "version 9 of 9\n", p.run("migrate", "up").stdout, "a second time changes nothing")
	require.JSONEq(t, `{"version": 9, "latest": 9, "oldest": 7, "current": true, "supported": true}`, p.run("migrate", "status", "--output", "json").stdout)
	require.Zero(t, p.run("run", "one.yaml").code)
	before := p.written()
	for _, version := range []string{"0", "8"} {
		requireRefused(t, p.run("migrate", "down", version), []string{"the tables hold 1 task, 0 of them unfinished, and 1 attempt; "}, "With --yes it goes on.")
	}
	require.Equal(t, before, p.written())
	require.Equal(t, "version 0 of 9\n", p.run("migrate", "down", "0", "--yes").stdout)
	require.Equal(t, -1, p.written())
	require.Zero(t, p.run("migrate", "up").code)
	require.Equal(t, "version 0 of 9\n", p.run("migrate", "down", "0").stdout, "there is nothing to lose")
	require.Zero(t, p.run("run", "one.yaml", "--migrate").code)
}

// A later program may have migrated the database. Its tables say whether this one may go
// on.
func TestMigrateStatusOfNewerTables(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	require.Zero(t, p.run("migrate", "up").code)
	p.change("update tasker.schema_version set version = 10")
	require.Equal(t, "version 10, for programs of version 7 or later; this one has version 9\n", p.run("migrate", "status").stdout)
	require.Zero(t, p.run("run", "one.yaml").code)
	require.Zero(t, p.run("migrate", "up").code, "there is nothing to do")
	p.change("update tasker.schema_support set oldest = 10")
	require.JSONEq(t, `{"version": 10, "latest": 9, "oldest": 10, "current": false, "supported": false}`, p.run("migrate", "status", "--output", "json").stdout)
	refused := p.run("run", "one.yaml")
	require.Equal(t, 2, refused.code)
	require.Contains(t, refused.stderr, "newer than this program")
	require.Contains(t, refused.stderr, "is 10 or later")
}

// The database has a schema of another program with this name. Every command says so, and
// writes nothing into it.
func TestTheSchemaOfAnotherProgram(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	p.change("create schema tasker")
	p.change("create table tasker.tasks (id int)")
	for _, args := range [][]string{{"migrate", "up"}, {"migrate", "status"}, {"run", "one.yaml", "--migrate"}, {"run", "one.yaml"}, {"tasks", "list"}} {
		requireRefused(t, p.run(args...), []string{"the schema tasker is not tasker-rb's: it has table tasker.tasks"}, "Rename the other one")
	}
	r := p.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	requireInOrder(t, r.stdout, "FAIL  tables      the schema tasker is not tasker-rb's: it has table tasker.tasks\n", "Rename the other one (ALTER SCHEMA tasker RENAME TO ...)")
	p.change("alter schema tasker rename to theirs")
	require.Zero(t, p.run("migrate", "up").code)
}
