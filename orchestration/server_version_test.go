package orchestration_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// serverOfVersion answers one connection as a server of this version would, as far as
// the version. It knows no statement.
func serverOfVersion(t *testing.T, version string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		socket, err := listener.Accept()
		if !assert.NoError(t, err) {
			return
		}
		defer func() { _ = socket.Close() }()
		backend := pgproto3.NewBackend(socket, socket)
		_, err = backend.ReceiveStartupMessage()
		assert.NoError(t, err)
		backend.Send(&pgproto3.AuthenticationOk{})
		backend.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: version})
		backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		assert.NoError(t, backend.Flush())
		for err == nil { // until the client leaves
			_, err = backend.Receive()
		}
	}()
	return "postgres://" + listener.Addr().String() + "/?sslmode=disable"
}

// A pooler may have a version of its own, which says nothing about the server.
func TestOddVersionsAreNotRefused(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.22.0/bouncer", "unknown", ""} {
		conn, err := pgx.Connect(t.Context(), serverOfVersion(t, version))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // the server answers no statement
		require.NotErrorIs(t, orchestration.CheckSchema(ctx, conn), orchestration.ErrServerTooOld, version)
		cancel()
	}
}

// An old server is refused before anything is asked of it.
func TestOldServersAreRefused(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"13.23 (Debian 13.23-0+deb11u1)", "9.6.24", "12beta1"} {
		for name, use := range map[string]func(*pgx.Conn) error{
			"migrate": func(conn *pgx.Conn) error { return orchestration.Migrate(t.Context(), conn) },
			"check":   func(conn *pgx.Conn) error { return orchestration.CheckSchema(t.Context(), conn) },
		} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				conn, err := pgx.Connect(t.Context(), serverOfVersion(t, version))
				require.NoError(t, err)
				defer func() { _ = conn.Close(t.Context()) }()
				err = use(conn)
				require.ErrorIs(t, err, orchestration.ErrServerTooOld)
				require.ErrorContains(t, err, "the server is PostgreSQL "+version)
				require.Equal(t, "Use PostgreSQL 14 or later.", errors.FlattenHints(err))
			})
		}
	}
}
