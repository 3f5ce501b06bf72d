package pgfailover

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

// The names are those that localpg gives.
const (
	databaseName = "tasker"
	userName     = "tasker"
)

// server is one of the two PostgreSQL servers.
type server struct {
	t       testing.TB
	dir     string
	process *daemon.Process
}

// newPrimary starts a server on new data, with an empty database.
func newPrimary(t testing.TB, settings map[string]string) *server {
	t.Helper()
	s := newServer(t)
	daemon.Run(t, daemon.Program(t, "initdb"), "-D", s.data(), "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8",
		"--auth=trust", "--username="+userName)
	s.start(settings)
	s.process.Await(func() error { return s.checkOn("postgres", "select true") })
	ask(t, s.urlOf("postgres"), "create database "+databaseName)
	return s
}

// newReplica starts a replica of the server that the stream leads to.
func newReplica(t testing.TB, stream *pgproxy.Proxy, settings map[string]string) *server {
	t.Helper()
	s := newServer(t)
	host, port := stream.Address()
	daemon.Run(t, daemon.Program(t, "pg_basebackup"), "-D", s.data(), "-R", "--checkpoint=fast", "--no-sync",
		"-d", fmt.Sprintf("host=%s port=%s user=%s sslmode=disable", host, port, userName))
	s.start(settings)
	s.process.Await(func() error {
		return s.check("select exists (select from pg_stat_wal_receiver where status = 'streaming')")
	})
	return s
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, dir: daemon.Dir(t)}
	require.NoError(t, os.Mkdir(s.sockets(), 0o700))
	daemon.Give(t, s.sockets())
	return s
}

func (s *server) data() string    { return filepath.Join(s.dir, "data") }
func (s *server) sockets() string { return filepath.Join(s.dir, "run") }
func (s *server) url() string     { return s.urlOf(databaseName) }

func (s *server) urlOf(database string) string {
	query := url.Values{"host": {s.sockets()}}
	u := url.URL{Scheme: "postgres", User: url.User(userName), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// start starts the server on its data. Like a server of localpg, it does not wait for
// the disk.
func (s *server) start(settings map[string]string) {
	s.t.Helper()
	all := map[string]string{
		"listen_addresses":        "",
		"unix_socket_directories": s.sockets(),
		"search_path":             "public",
		"fsync":                   "off",
		"full_page_writes":        "off",
		"jit":                     "off",
		"max_connections":         "300",
		"wal_level":               "replica",
		"wal_keep_size":           "1GB", // for a replica that was stalled for long
		// By default a replica that has lost its primary may sleep for 5 s, and does not
		// see the request to promote it meanwhile.
		"wal_retrieve_retry_interval": "50ms",
	}
	maps.Copy(all, settings)
	args := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	s.process = daemon.Start(s.t, s.dir, daemon.Program(s.t, "postgres"), args...)
}

// promote makes a replica a primary, and waits until it is one.
func (s *server) promote() {
	s.t.Helper()
	require.NoError(s.t, s.check("select pg_promote(true, 60)"), "%s", s.process.Log())
}

// check runs a query that says whether a condition holds. It fails if that does not.
func (s *server) check(query string) error { return s.checkOn(databaseName, query) }

func (s *server) checkOn(database, query string) error {
	var holds bool
	err := scan(s.urlOf(database), query, &holds)
	if err == nil && !holds {
		err = errors.Newf("%s: false", query)
	}
	return err
}

// ask runs a statement, and returns the text that it gives, if any.
func ask(t testing.TB, address, query string) (answer string) {
	t.Helper()
	require.NoError(t, scan(address, query, &answer), query)
	return answer
}

// queryTimeout is how long a statement of this package may take.
const queryTimeout = 2 * time.Minute

// scan runs a statement on a connection of its own. A statement without a row leaves
// result as it is.
func scan(address, query string, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return errors.WithStack(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, query, pgx.QueryExecModeSimpleProtocol).Scan(result)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return errors.WithStack(err)
}
