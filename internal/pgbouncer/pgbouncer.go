package pgbouncer

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/daemon"
)

// Mode is pgbouncer's pool_mode.
type Mode string

const (
	// Session gives a client a session of the server until the client leaves.
	Session Mode = "session"
	// Transaction gives a client a session of the server for each transaction.
	Transaction Mode = "transaction"
)

// Pooler is a running pgbouncer.
type Pooler struct {
	t       testing.TB
	dir     string
	process *daemon.Process
}

// Start starts a pgbouncer in front of the server of databaseURL. It lets the user of
// databaseURL in, to every database of the server, and to its own console, the
// database pgbouncer. The settings are further lines of its configuration, such as
// "default_pool_size": "2".
func Start(t testing.TB, databaseURL string, mode Mode, settings map[string]string) *Pooler {
	t.Helper()
	p := &Pooler{t: t, dir: daemon.Dir(t)}
	server, err := pgconn.ParseConfig(databaseURL)
	require.NoError(t, err)
	users := p.write("users.txt", fmt.Sprintf("%s %s\n", quote(server.User), quote(server.Password)))
	all := map[string]string{
		"pool_mode":       string(mode),
		"unix_socket_dir": p.dir, // a TCP port could be taken by another program meanwhile
		"listen_addr":     "",
		"auth_type":       "trust",
		"auth_file":       users,
		"admin_users":     server.User,
		"max_client_conn": "500",
	}
	maps.Copy(all, settings)
	var config strings.Builder
	fmt.Fprintf(&config, "[databases]\n* = host=%s port=%d\n[pgbouncer]\n", server.Host, server.Port)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&config, "%s = %s\n", name, all[name])
	}
	p.process = daemon.Start(t, p.dir, program(t), p.write("pgbouncer.ini", config.String()))
	p.process.Await(func() error {
		conn, err := pgx.Connect(t.Context(), p.URL(databaseURL))
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
	return p
}

// URL returns databaseURL with the pooler's address. It must be a URL, such as
// postgres://user@host/database.
func (p *Pooler) URL(databaseURL string) string {
	p.t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(p.t, err)
	require.NotEmpty(p.t, u.Scheme, "%q is no URL", databaseURL)
	query := u.Query()
	query.Set("host", p.dir)
	query.Set("port", port)
	u.RawQuery, u.Host = query.Encode(), ""
	return u.String()
}

// port is a part of the name of the pooler's socket. It is pgbouncer's default.
const port = "6432"

// Stop ends the pooler at once, with the connections through it.
func (p *Pooler) Stop() {
	p.t.Helper()
	p.process.Stop(syscall.SIGQUIT)
}

// write writes a file that the pooler can read.
func (p *Pooler) write(name, content string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	require.NoError(p.t, os.WriteFile(path, []byte(content), 0o600))
	daemon.Give(p.t, path)
	return path
}

// quote writes a string for the file of users.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// program returns the path of pgbouncer. On Debian it is in a folder that only root has
// in PATH.
func program(t testing.TB) string {
	t.Helper()
	found, err := exec.LookPath("pgbouncer")
	if err != nil {
		found, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	require.NoError(t, err, "install it with scripts/setup.sh --for-tests")
	return found
}
