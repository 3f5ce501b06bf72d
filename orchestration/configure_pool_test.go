package orchestration_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A program's own hooks and name stay.
func TestConfigurePoolKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(withQuery(t, pgtest.URL(t), "application_name", strings.Repeat("billing", 20)))
	require.NoError(t, err)
	var called []string
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		called = append(called, "before")
		return nil
	}
	config.ConnConfig.AfterConnect = func(context.Context, *pgconn.PgConn) error {
		called = append(called, "after")
		return nil
	}
	orchestration.ConfigurePool(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	var name string
	require.NoError(t, pool.QueryRow(t.Context(), "show application_name").Scan(&name))
	require.Regexp(t, `^(billing)+\w* tasker-rb:[0-9a-z]{12,}$`, name)
	require.Len(t, name, 63)
	require.Equal(t, []string{"before", "after", "after"}, called, "the first connection only looks for a pooler")

	other, err := pgxpool.ParseConfig(pgtest.URL(t))
	require.NoError(t, err)
	orchestration.ConfigurePool(other)
	require.NotEqual(t, config.ConnConfig.RuntimeParams["application_name"], other.ConnConfig.RuntimeParams["application_name"])
}

// The server writes other characters in up to four, and would cut the mark off.
func TestANameThatIsNotASCII(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(withQuery(t, pgtest.URL(t), "application_name", strings.Repeat("Größe\x07", 9)))
	require.NoError(t, err)
	orchestration.ConfigurePool(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	var name string
	require.NoError(t, pool.QueryRow(t.Context(), "select application_name from pg_stat_activity where pid = pg_backend_pid()").Scan(&name))
	require.Equal(t, config.ConnConfig.RuntimeParams["application_name"], name)
	require.Regexp(t, `^Gr\?\?e\?Gr.* tasker-rb:[0-9a-z]{12,}$`, name)
}

func withQuery(t *testing.T, address, key, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}
