package pgtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// An Option changes what is in a new database.
type Option func(*settings)

type settings struct {
	setUps   []SetUp
	patience time.Duration
}

func settingsOf(options []Option) settings {
	s := settings{patience: leakTimeout}
	for _, option := range options {
		option(&s)
	}
	return s
}

// SetUp fills a new database.
type SetUp = func(context.Context, *pgx.Conn) error

// WithTemplate runs setUps on the database, such as migrations, one after the other. They
// run once for each test binary, on the template that is copied. So they must depend on
// their arguments alone. Two functions with the same code address are taken for one; a
// closure is one function, whatever it captures.
func WithTemplate(setUps ...SetUp) Option {
	return func(s *settings) { s.setUps = setUps }
}

// WithPatience changes how long connections may take to close after the test: a minute, unless
// a test leaves one open on purpose.
func WithPatience(d time.Duration) Option {
	return func(s *settings) { s.patience = d }
}

// setupTimeout bounds how long a test waits for its server and its database.
const setupTimeout = 2 * time.Minute

// leakTimeout is how long connections may take to close after a test. A backend that is
// busy looks every 2 s whether its client is gone.
const leakTimeout = time.Minute

// New returns a pool on a fresh database. It is closed when the test ends, after
// the test's own clean-up. The test fails if a connection is still in use then.
func New(t testing.TB, options ...Option) *pgxpool.Pool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	pool, err := pgxpool.New(ctx, URL(t, options...))
	require.NoError(t, err)
	t.Cleanup(func() { closePool(t, pool, settingsOf(options).patience) })
	return pool
}

// closePool closes the pool. Closing waits for connections in use; closePool waits
// no longer than patience, and fails the test then.
func closePool(t testing.TB, pool *pgxpool.Pool, patience time.Duration) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Errorf("pgtest: %d connections of the test's pool were not released", pool.Stat().AcquiredConns())
	}
}

// URL returns the connection string of a fresh database, whose user is a
// superuser (on the ephemeral server). The database is dropped when the test
// ends. The test fails if a connection to it is open then.
func URL(t testing.TB, options ...Option) string {
	t.Helper()
	s := settingsOf(options)
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	server, err := shared()
	require.NoError(t, err)
	name, err := server.create(ctx, s.setUps)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		left, err := server.drop(ctx, name, s.patience)
		if err != nil {
			t.Errorf("pgtest: %v", err)
		}
		if len(left) > 0 {
			t.Errorf("pgtest: the test left %d connections open:\n%s", len(left), strings.Join(left, "\n"))
		}
	})
	return server.url(name)
}
