package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

func TestDatabasesThatCannotBeReached(t *testing.T) {
	t.Parallel()
	there := pgtest.URL(t)
	silent := listen(t, func(net.Conn) {})
	withoutTLS := listen(t, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, 8)); err == nil { // may we speak TLS?
			_, _ = conn.Write([]byte("N"))
		}
	})
	goneWithoutTLS := listen(t, func(conn net.Conn) { // as a server that restarts at this moment
		if _, err := io.ReadFull(conn, make([]byte, 8)); err == nil {
			_, _ = conn.Write([]byte("N"))
			_ = conn.Close()
		}
	})
	for _, c := range []struct{ name, url, cause, hint string }{
		{"not a URL", "postgres://[", "DATABASE_URL is not a PostgreSQL address", "postgres://user:password@host:5432/database"},
		{"a word", "foo", "DATABASE_URL is not a PostgreSQL address", "postgres://user"},
		{"another scheme", "mysql://db/x", "DATABASE_URL is not a PostgreSQL address", "postgres://user"},
		{"bad port", "host=localhost port=abc password=secret", "DATABASE_URL is not a PostgreSQL address: its port is not a number", "host:5432"},
		{"bad port of a URL", "postgres://app:secret@db:abc/x", "DATABASE_URL is not a PostgreSQL address: its port is not a number", "host:5432"},
		{"port too large", "postgres://app:secret@db:65536/x", "DATABASE_URL is not a PostgreSQL address: its port is not a number", "host:5432"},
		{"a slash in the password", "postgres://app:se/cret@db/x", "DATABASE_URL is not a PostgreSQL address: it has an @ that is not", "/ is %2F"},
		{"an @ in the password", "postgres://app:se@secret@127.0.0.1/x", "DATABASE_URL is not a PostgreSQL address: it has an @ that is not", "@ is written %40"},
		{"an @ and a slash in the password", "postgres://app:se@secret/secret@127.0.0.1/x", "DATABASE_URL is not a PostgreSQL address: it has an @ that is not", "/ is %2F"},
		{"a number sign behind figures", "postgres://secret:123#secret@127.0.0.1/x", "DATABASE_URL is not a PostgreSQL address: it has an @ that is not", "# is %23"},
		{"a question mark behind figures", "postgres://secret:123?secret@127.0.0.1/x", "DATABASE_URL is not a PostgreSQL address: it has an @ that is not", "It looks like"},
		{"an @ in a setting", "postgres://app:secret@127.0.0.1:1/x?application_name=a@b", "the database at postgres://app@127.0.0.1:1/x cannot be reached", "Start that server"},
		{"an unknown parameter", withQuery(there, "foo", "bar"), "DATABASE_URL has the parameter foo, which the database at postgres://", "Take foo out of DATABASE_URL"},
		{"a bad value of a parameter", withQuery(there, "statement_timeout", "abc"), `invalid value for parameter "statement_timeout": "abc"`, "Correct statement_timeout in DATABASE_URL"},
		{"bad characters in the password", "postgres://app:se%cret@db/x", "DATABASE_URL is not a PostgreSQL address", "is %25"},
		{"bad sslmode", "postgres://app:secret@db/x?sslmode=requir", "DATABASE_URL: sslmode is invalid", "verify-full"},
		{"no such certificate", "postgres://app:secret@db/x?sslmode=verify-full&sslrootcert=/none.pem", "DATABASE_URL: unable to read CA file: open /none.pem: no such file", "Correct sslrootcert"},
		{"nobody listens", "postgres://app:secret@127.0.0.1:1/x", "the database at postgres://app@127.0.0.1:1/x cannot be reached: connect: connection refused", "Start that server"},
		{"nobody listens twice", "postgres://app:secret@127.0.0.1:1,127.0.0.1:2/x", "the database at postgres://app@127.0.0.1:1,127.0.0.1:2/x cannot be reached", "Start that server"},
		{"the password is a setting", "host=127.0.0.1 port=1 user=app password = 'my secret' dbname=x", "the database at postgres://app@127.0.0.1:1/x cannot be reached", "Start that server"},
		{"silent", "postgres://app@" + silent + "/x?connect_timeout=1", "the database at postgres://app@" + silent + "/x did not answer within 1s", "connect_timeout"},
		{"no TLS, and then no answer", "postgres://app@" + goneWithoutTLS + "/x", "the database at postgres://app@" + goneWithoutTLS + "/x cannot be reached", "Start that server"},
		{"no TLS", "postgres://app@" + withoutTLS + "/x?sslmode=require", "does not speak TLS", "sslmode=disable"},
		{"no such socket", "postgres://app@/x?host=/nonexistent", "cannot be reached: connect: no such file or directory", "Start that server"},
		{"no such host", "postgres://app@db.invalid/x", "the host of the database at postgres://app@db.invalid:5432/x is not known", "host name"},
		{"no such database", withPath(there, "/nowhere"), `database "nowhere" does not exist`, "createdb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := emptyProject(t)
			p.url = c.url
			r := p.run("run", "one.yaml")
			requireRefused(t, r, []string{c.cause}, c.hint)
			require.NotContains(t, r.stderr, "secret")
			requireRefused(t, p.run("migrate", "status"), []string{c.cause}, c.hint)
		})
	}
}

// listen answers each connection, and leaves it open until the test ends.
func listen(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			answer(conn)
		}
	}()
	return l.Addr().String()
}

func withPath(address, path string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	u.Path = path
	return u.String()
}

func withQuery(address, name, value string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// The test has its own server, because it changes pg_hba.conf.
func TestAWrongPassword(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := localpg.Start(ctx, pgtest.Ephemeral(nil))
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()
	conn, err := pgx.Connect(ctx, server.URL())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(ctx)) }()
	var hba string
	require.NoError(t, conn.QueryRow(ctx, "show hba_file").Scan(&hba))
	rules, err := os.ReadFile(hba)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(hba, append([]byte("local all app scram-sha-256\n"), rules...), 0o600))
	_, err = conn.Exec(ctx, "create role app login password 'right'")
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "select pg_reload_conf()")
	require.NoError(t, err)

	u, err := url.Parse(server.URL())
	require.NoError(t, err)
	u.User = url.UserPassword("app", "hunter2")
	require.Eventually(t, func() bool {
		_, err := pgx.Connect(ctx, u.String())
		var pg *pgconn.PgError
		return errors.As(err, &pg) && pg.Code == "28P01"
	}, patience, 10*time.Millisecond)

	p := emptyProject(t)
	p.url = u.String()
	r := p.run("run", "one.yaml")
	requireRefused(t, r, []string{`refused the login: password authentication failed for user "app"`}, "Check the user and the password")
	require.NotContains(t, r.stderr, "hunter2")
	p.url = server.URL()
	require.Equal(t, -1, p.written())
}

// change runs a statement in the project's database.
func (p *project) change(format string, args ...any) {
	p.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.url)
	require.NoError(p.t, err)
	defer func() { require.NoError(p.t, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, fmt.Sprintf(format, args...))
	require.NoError(p.t, err)
}

// asRole is the project with the database of p, reached as a new role without rights. The
// role's name is prefix and the database's name, as it is and as SQL writes it.
func (p *project) asRole(prefix string) (q *project, name, quoted string) {
	p.t.Helper()
	u, err := url.Parse(p.url)
	require.NoError(p.t, err)
	name = prefix + strings.TrimPrefix(u.Path, "/")
	quoted = pgx.Identifier{name}.Sanitize()
	p.change("create role %s login", quoted)
	p.t.Cleanup(func() {
		p.change("drop owned by %s", quoted)
		p.change("drop role %s", quoted)
	})
	u.User = url.User(name)
	other := *p
	other.url = u.String()
	return &other, name, quoted
}

// The role may read the tables but not change them.
func TestARoleWithoutRights(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	q, _, role := p.asRole("reader_of_")
	requireRefused(t, q.run("run", "one.yaml"), []string{"permission denied for schema tasker"}, "grant this one usage on the schema tasker")
	p.change("grant usage on schema tasker to %s", role)
	p.change("grant select on all tables in schema tasker to %s", role)
	requireRefused(t, q.run("run", "one.yaml"), []string{"permission denied for table"}, "grant this one usage on the schema tasker")
	require.Zero(t, p.written())
	p.change("grant insert, update, delete on all tables in schema tasker to %s", role)
	r := q.run("run", "one.yaml")
	require.Zero(t, r.code, r.stderr)
}

// The role may open one connection only. The first connection succeeds; the ones
// after it fail.
func TestTooFewConnections(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	q, name, role := p.asRole("lone_in_")
	p.change("alter role %s connection limit 1", role)
	p.change("grant usage on schema tasker to %s", role)
	p.change("grant all on all tables in schema tasker to %s", role)
	p.change("grant all on all sequences in schema tasker to %s", role)
	requireRefused(t, q.run("run", "one.yaml"), []string{"the database at postgres://" + name + "@"}, "connection limit")
	require.Zero(t, p.written())
}

func TestAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	u, err := url.Parse(p.url)
	require.NoError(t, err)
	p.change("alter database %s set default_transaction_read_only = on", pgx.Identifier{strings.TrimPrefix(u.Path, "/")}.Sanitize())
	requireRefused(t, p.run("run", "one.yaml"), []string{"the database is read-only"}, "default_transaction_read_only")
	require.Zero(t, p.written())
}

// A user called tasker has such a search_path by default.
func TestASearchPathToTheEnginesTables(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "handlers/fine.rb": fine})
	u, err := url.Parse(p.url)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", "tasker,public")
	u.RawQuery = query.Encode()
	q := *p
	q.url = u.String()
	for _, args := range [][]string{{"run", "one.yaml"}, {"run", "one.yaml", "--migrate"}} {
		requireRefused(t, q.run(args...), []string{"the schema tasker comes first in the search_path"}, "search_path=public")
	}
	require.Zero(t, p.written())
}

func TestSchemasOfOtherVersions(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	requireRefused(t, p.run("run", "one.yaml"), []string{"the database has no tables of tasker-rb yet"}, "tasker-rb migrate up")
	require.Equal(t, -1, p.written())

	up := p.run("migrate", "up")
	require.Zero(t, up.code, up.stderr)
	require.Regexp(t, `^version (\d+) of \d+\n$`, up.stdout)
	require.Zero(t, p.run("run", "one.yaml").code)
	p.change("update tasker.schema_version set version = version + 1")
	require.Zero(t, p.run("run", "one.yaml").code, "the later tables admit this program")
	before := p.written()
	p.change("update tasker.schema_support set oldest = oldest + 100")
	requireRefused(t, p.run("run", "one.yaml"), []string{"the database's tables are newer than this program"}, "Use a tasker-rb whose own version")
	requireRefused(t, p.run("run", "one.yaml", "--migrate"), []string{"newer than this program"}, "Use a tasker-rb whose own version")
	require.Equal(t, before, p.written())

	p.change("update tasker.schema_version set version = version - 1; update tasker.schema_support set oldest = oldest - 100")
	require.Zero(t, p.run("migrate", "down", "1", "--yes").code)
	before = p.written()
	requireRefused(t, p.run("run", "one.yaml"), []string{"the database's tables are older than this program: they are at version 1, it needs "}, "tasker-rb migrate up")
	require.Equal(t, before, p.written())
}

// The program is linked so that it looks for PostgreSQL in PATH only, and PATH
// does not contain it.
func TestNoPostgreSQL(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "tasker-rb")
	out, err := exec.Command("go", "build", "-ldflags", "-X github.com/tasker-rb/tasker-rb/orchestration/localpg.usualBinDirs=", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	p := emptyProject(t)
	p.url = ""
	state := enterable(t)
	p.env = []string{"PATH=" + t.TempDir(), "XDG_STATE_HOME=" + state}
	without := func(args ...string) result {
		cmd := p.command(args...)
		cmd.Path = program
		return p.finish(cmd)
	}
	requireRefused(t, without("run", "one.yaml"), []string{"no PostgreSQL server binaries (postgres, initdb) were found"}, "or set DATABASE_URL")
	r := without("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	require.Regexp(t, `(?m)^ok    Ruby `, r.stdout)
	require.Regexp(t, `(?m)^FAIL  PostgreSQL +no PostgreSQL server`, r.stdout)
}
