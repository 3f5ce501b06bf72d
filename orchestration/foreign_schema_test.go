package orchestration_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Another program's schema of the same name is refused before anything is written into it,
// also if a migration has left its version table there.
func TestTheSchemaOfAnotherProgram(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ make, listed string }{
		"tasks":                      {"create table tasker.tasks (id int)", "table tasker.tasks"},
		"any table":                  {"create table tasker.people (id int primary key)", "table tasker.people"},
		"a view":                     {"create view tasker.people as select 1", "view tasker.people"},
		"a type":                     {"create type tasker.mood as enum ('good')", "type tasker.mood"},
		"a function":                 {"create function tasker.one() returns int language sql as 'select 1'", "function tasker.one()"},
		"many tables":                {"create table tasker.a (i int); create table tasker.b (i int); create table tasker.c (i int); create table tasker.d (i int)", "tasker.a, table tasker.b, table tasker.c, …"},
		"what a migration has left":  {"create table tasker.people (id int); create table tasker.schema_version (version int4 not null); insert into tasker.schema_version values (0)", "table tasker.people"},
		"migrations of its own":      {"create table tasker.people (id int); create table tasker.schema_version (version int4 not null); insert into tasker.schema_version values (12)", "table tasker.people"},
		"another table of a version": {"create table tasker.tasks (digest int); create table tasker.schema_version (version text); insert into tasker.schema_version values ('1.0')", "table tasker.tasks"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			conn := connection(t)
			_, err := conn.Exec(t.Context(), "create schema tasker; "+c.make)
			require.NoError(t, err)
			contents := func() (list string) {
				require.NoError(t, conn.QueryRow(t.Context(), `select string_agg(pg_describe_object(classid, objid, objsubid), ' ' order by 1)
					from pg_depend where refclassid = 'pg_namespace'::regclass and refobjid = 'tasker'::regnamespace`).Scan(&list))
				return list
			}
			before := contents()
			_, reading := orchestration.ReadSchema(t.Context(), conn)
			for _, err := range []error{
				orchestration.Migrate(t.Context(), conn), orchestration.CheckSchema(t.Context(), conn), reading, orchestration.MigrateDown(t.Context(), conn, 0),
			} {
				require.ErrorIs(t, err, orchestration.ErrSchemaForeign)
				require.Contains(t, err.Error(), c.listed)
				require.Contains(t, errors.FlattenHints(err), "ALTER SCHEMA tasker RENAME")
				require.Equal(t, strings.Contains(what, "has left"), strings.Contains(errors.FlattenHints(err), "can be dropped"))
			}
			require.Equal(t, before, contents())
		})
	}
}

// The other program's schema is closed to this role.
func TestAClosedSchemaOfAnotherProgram(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t)
	admin, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	conn, drop := asRole(t, admin, address, "create schema tasker; create table tasker.tasks (id int)")
	for _, err := range []error{orchestration.Migrate(t.Context(), conn), orchestration.CheckSchema(t.Context(), conn)} {
		require.ErrorIs(t, err, orchestration.ErrSchemaForeign)
		require.ErrorContains(t, err, "table tasker.tasks")
	}
	drop()
}

// asRole connects as a new role after the statements, in which %s is the role. drop drops it.
func asRole(t *testing.T, admin *pgx.Conn, address, statements string) (conn *pgx.Conn, drop func()) {
	t.Helper()
	role := "app_in_" + admin.Config().Database
	quoted := pgx.Identifier{role}.Sanitize()
	_, err := admin.Exec(t.Context(), "create role "+quoted+" login; "+strings.ReplaceAll(statements, "%s", quoted))
	require.NoError(t, err)
	u, err := url.Parse(address)
	require.NoError(t, err)
	u.User = url.User(role)
	conn, err = pgx.Connect(t.Context(), u.String())
	require.NoError(t, err)
	return conn, func() {
		t.Helper()
		require.NoError(t, conn.Close(t.Context()))
		_, err = admin.Exec(t.Context(), "drop owned by "+quoted+" cascade; drop role "+quoted)
		require.NoError(t, err)
		require.NoError(t, admin.Close(t.Context()))
	}
}

// An administrator has made the schema, and the role may not create one.
func TestASchemaThatAnAdministratorHasMade(t *testing.T) {
	t.Parallel()
	for what, grants := range map[string]string{
		"its own":          "create schema tasker authorization %s",
		"another role's":   "create schema tasker; grant usage, create on schema tasker to %s",
		"with privileges":  "create schema tasker; grant usage, create on schema tasker to %s; alter default privileges in schema tasker grant select on tables to %s",
		"after going back": "create schema tasker authorization %s",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			address := pgtest.URL(t)
			admin, err := pgx.Connect(t.Context(), address)
			require.NoError(t, err)
			conn, drop := asRole(t, admin, address, grants)
			require.ErrorIs(t, orchestration.CheckSchema(t.Context(), conn), orchestration.ErrSchemaOlder)
			require.NoError(t, orchestration.Migrate(t.Context(), conn))
			require.NoError(t, orchestration.CheckSchema(t.Context(), conn))
			if what == "after going back" {
				require.NoError(t, orchestration.MigrateDown(t.Context(), conn, 0))
				require.NoError(t, orchestration.Migrate(t.Context(), conn))
			}
			drop()
		})
	}
}
