package pgproxy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

// ways are the ways in which a client commits an insert.
var ways = map[string]func(ctx context.Context, conn *pgx.Conn, insert string) error{
	"a commit of its own": func(ctx context.Context, conn *pgx.Conn, insert string) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return exec(ctx, conn, insert) })
	},
	"a commit in a batch": func(ctx context.Context, conn *pgx.Conn, insert string) error {
		var batch pgx.Batch
		for _, statement := range []string{"begin", insert, "select count(*) from things", "commit"} {
			batch.Queue(statement)
		}
		return conn.SendBatch(ctx, &batch).Close()
	},
	"a commit in a simple query": func(ctx context.Context, conn *pgx.Conn, insert string) error {
		return exec(ctx, conn, "begin; "+insert+"; commit; select 1")
	},
}

func TestTheAnswerOfACommitGetsLost(t *testing.T) {
	t.Parallel()
	for name, commit := range ways {
		t.Run(name+", then a cut", func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.SwallowCommitAnswers(2, pgproxy.ThenCut)
			for i := range 4 {
				err := commit(t.Context(), b.connect("client"), fmt.Sprintf("insert into things values (%d)", i))
				if i < 2 {
					require.Error(t, err)
				} else {
					require.NoError(t, err)
				}
				require.Equal(t, i+1, b.rows())
			}
			require.Equal(t, 2, b.Swallowed())
			require.Len(t, b.Open(pgproxy.Named("client")), 2)
		})
		t.Run(name+", then silence", func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.SwallowCommitAnswers(1, pgproxy.ThenSilence)
			conn := b.connect("client")
			done := later(func() error { return commit(t.Context(), conn, "insert into things values (1)") })
			b.eventually(func() bool { return b.Swallowed() == 1 })
			require.Equal(t, 1, b.rows())
			b.eventually(func() bool { return b.sessions("client") == 0 })
			b.requireSilence(done)
			hangUp(conn)
			require.Error(t, <-done)
			require.NoError(t, commit(t.Context(), b.connect("client"), "insert into things values (2)"))
		})
	}
}

func TestOnlyTheAnswersToTheChosenCommitsGetLost(t *testing.T) {
	t.Parallel()
	b := start(t)
	commit := ways["a commit in a batch"]
	b.SwallowCommitAnswers(1, pgproxy.ThenCut, pgproxy.Named("chosen"))
	require.NoError(t, commit(t.Context(), b.connect("other"), "insert into things values (1)"))
	chosen := b.connect("chosen")
	require.NoError(t, exec(t.Context(), chosen, "insert into things values (2)"))

	// The server answers the commit of a failed transaction with ROLLBACK.
	require.NoError(t, exec(t.Context(), chosen, "begin"))
	require.Equal(t, "42601", sqlState(t, exec(t.Context(), chosen, "nonsense")))
	tag, err := chosen.Exec(t.Context(), "commit")
	require.NoError(t, err)
	require.Equal(t, "ROLLBACK", tag.String())

	require.Error(t, commit(t.Context(), chosen, "insert into things values (3)"))
	require.Equal(t, 3, b.rows())
	require.NoError(t, commit(t.Context(), b.connect("chosen"), "insert into things values (4)"))
	b.SwallowCommitAnswers(1, pgproxy.ThenCut)
	b.SwallowCommitAnswers(0, pgproxy.ThenCut)
	require.NoError(t, commit(t.Context(), b.connect("chosen"), "insert into things values (5)"))
}

// A statement without a transaction of its own is committed before the connection is
// cut, and so are those that were sent with it.
func TestTheAnswersOfABatchGetLost(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.SwallowAnswers(1, func(tag string) bool { return strings.HasPrefix(tag, "INSERT") }, pgproxy.ThenCut)
	var batch pgx.Batch
	for i := range 100 {
		batch.Queue("insert into things values ($1)", i)
	}
	require.ErrorContains(t, b.connect("client").SendBatch(t.Context(), &batch).Close(), "connection reset")
	require.Equal(t, 1, b.Swallowed())
	require.Equal(t, 100, b.rows())
}
