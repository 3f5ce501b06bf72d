package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// urlVariable names a server to use instead of an ephemeral one.
const urlVariable = "TASKER_TEST_DATABASE_URL"

// shared returns the server of this test binary. The first test starts it. Nothing
// stops the ephemeral one: it ends with the process.
var shared = sync.OnceValues(func() (*server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	if address := os.Getenv(urlVariable); address != "" {
		return connect(ctx, address)
	}
	local, err := localpg.Start(ctx, Ephemeral(map[string]string{"max_connections": "300", "max_wal_size": "256MB"}))
	if err != nil {
		return nil, errors.Wrapf(err, "pgtest: no server (%s)", errors.FlattenHints(err))
	}
	s, err := connect(ctx, local.URL())
	if err != nil {
		return nil, err
	}
	s.copies, err = Copying(ctx, s.admin)
	return s, err
})

// Ephemeral are the options of a server in memory, for a test that needs one of its own.
// Its data is a copy of what initdb made once: that takes a third of the time. So all of
// them have the same system identifier.
func Ephemeral(settings map[string]string) localpg.Options {
	nothing := func(context.Context, string) error { return nil }
	return localpg.Options{
		Ephemeral: true, Dir: MemoryDir(), Settings: settings,
		Prepared: &localpg.Prepared{Key: "empty", Fill: nothing},
	}
}

// MemoryDir is [localpg.MemoryDir].
func MemoryDir() string { return localpg.MemoryDir() }

// server makes and drops databases.
type server struct {
	base   *url.URL
	prefix string // of the names of all databases of this process
	copies string // how databases are copied

	making    sync.Mutex // guards made and templates; held while a database is made
	made      int
	templates map[string]string // the template of each list of set-up functions

	asking sync.Mutex // guards admin, for one statement
	admin  *pgx.Conn
}

// exec runs a statement on the one connection that all tests share.
func (s *server) exec(ctx context.Context, statement string) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	_, err := s.admin.Exec(ctx, statement)
	return errors.Wrap(err, statement)
}

// ask runs a query that returns one text column.
func (s *server) ask(ctx context.Context, query string, args ...any) ([]string, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	rows, err := s.admin.Query(ctx, query, args...)
	if err != nil {
		return nil, errors.WithStack(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return found, errors.WithStack(err)
}

func connect(ctx context.Context, address string) (*server, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, errors.Wrapf(err, "pgtest: %s", urlVariable)
	}
	admin, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, errors.Wrap(err, "pgtest: connect to the server")
	}
	s := &server{base: base, admin: admin, templates: map[string]string{}}
	if err := s.sweep(ctx); err != nil {
		return nil, err
	}
	// The backend's process id is this session's alone for as long as it lives.
	s.prefix = fmt.Sprintf("%s%d_", namePrefix, admin.PgConn().PID())
	return s, nil
}

// Copying is the end of a CREATE DATABASE that has it copied file by file. In memory that is
// twice as cheap as by the log of the server, on a disk it is not. PostgreSQL 14 knows no
// other way.
func Copying(ctx context.Context, conn *pgx.Conn) (clause string, err error) {
	err = conn.QueryRow(ctx, "select case when current_setting('server_version_num')::int >= 150000 then ' strategy file_copy' else '' end").Scan(&clause)
	return clause, errors.Wrap(err, "asking for the server's version")
}

const namePrefix = "tasker_test_"

// sweep drops the databases that killed test binaries have left on a server that
// outlives them. The names hold the process id of a backend. If that backend does
// not live any more, the database is unused.
func (s *server) sweep(ctx context.Context) error {
	const leftovers = `select datname from pg_database
		where substring(datname from '^` + namePrefix + `(\d+)_')::int not in
			(select pid from pg_stat_activity where pid <> pg_backend_pid())`
	names, err := s.ask(ctx, leftovers)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.exec(ctx, dropStatement(name)); err != nil && !isUndefined(err) {
			return err
		}
	}
	return nil
}

func dropStatement(name string) string { return "drop database " + quote(name) + " with (force)" }

// isUndefined reports whether the database does not exist. Another process may have
// swept it at the same moment.
func isUndefined(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "3D000" // invalid_catalog_name
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// url returns the connection string of a database on the server.
func (s *server) url(database string) string {
	u := *s.base
	u.Path = "/" + database
	return u.String()
}

// create makes a database and returns its name.
func (s *server) create(ctx context.Context, setUps []SetUp) (string, error) {
	s.making.Lock()
	defer s.making.Unlock()
	template, err := s.template(ctx, setUps)
	if err != nil {
		return "", err
	}
	return s.copyOf(ctx, template)
}

func (s *server) copyOf(ctx context.Context, template string) (string, error) {
	s.made++
	name := fmt.Sprintf("%s%d", s.prefix, s.made)
	return name, s.exec(ctx, "create database "+quote(name)+" template "+quote(template)+s.copies)
}

// template returns the name of the database to copy.
func (s *server) template(ctx context.Context, setUps []SetUp) (string, error) {
	if len(setUps) == 0 {
		return "template0", nil
	}
	key := ""
	for _, setUp := range setUps {
		key += fmt.Sprintf("%x ", reflect.ValueOf(setUp).Pointer())
	}
	if name, ok := s.templates[key]; ok {
		return name, nil
	}
	name, err := s.copyOf(ctx, "template0")
	if err != nil {
		return "", err
	}
	if err := s.fill(ctx, name, setUps); err != nil {
		return "", errors.CombineErrors(errors.Wrap(err, "set the template up"), s.exec(ctx, dropStatement(name)))
	}
	s.templates[key] = name
	return name, nil
}

func (s *server) fill(ctx context.Context, name string, setUps []SetUp) error {
	conn, err := pgx.Connect(ctx, s.url(name))
	if err != nil {
		return errors.WithStack(err)
	}
	for _, setUp := range setUps {
		if err == nil {
			err = setUp(ctx, conn)
		}
	}
	err = errors.CombineErrors(err, conn.Close(ctx))
	if err != nil {
		return err
	}
	_, err = s.awaitQuiet(ctx, name, leakTimeout) // a template with a session cannot be copied
	return err
}

// drop drops a database, and returns a line for each connection that is still open.
func (s *server) drop(ctx context.Context, name string, patience time.Duration) ([]string, error) {
	left, err := s.awaitQuiet(ctx, name, patience)
	if err != nil {
		return nil, err
	}
	return left, s.exec(ctx, dropStatement(name))
}

// awaitQuiet waits until the database has no connections: a backend takes a moment
// to end after its connection is closed. It returns a line for each connection that
// remains.
func (s *server) awaitQuiet(ctx context.Context, name string, patience time.Duration) ([]string, error) {
	const sessions = `select format('  process %s (%s), %s: %s', pid, application_name, coalesce(state, 'starting'), query)
		from pg_stat_activity where datname = $1 and backend_type = 'client backend'`
	const longest = 50 * time.Millisecond
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		left, err := s.ask(ctx, sessions, name)
		if err != nil || len(left) == 0 || time.Now().After(deadline) {
			return left, err
		}
		time.Sleep(pause)
	}
}
