package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// The contenders in Go are this program.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "child" {
		exit(runChild(os.Args[2]))
	}
	os.Exit(m.Run())
}

// TestShortForm is the whole of `make bench` with a few tasks: each contender that can
// run here does a round, and its work is verified.
func TestShortForm(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "tasker-rb")
	build := exec.Command("go", "build", "-o", program, "./cmd/tasker-rb")
	build.Dir = ".."
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	list, missing, err := chooseContenders(options{program: program})
	require.NoError(t, err)
	for _, m := range missing {
		t.Logf("left out: %s", m)
	}
	b, stop, err := newBench(t.Context(), defaultDir(), t.Logf)
	require.NoError(t, err)
	defer func() { require.NoError(t, stop()) }()
	var host, postgres time.Duration // one round of five tasks takes next to nothing
	for _, c := range list {
		for _, s := range []Shape{
			{Name: "with SQL", Levels: []int{1, 2, 1}, SQL: true},
			{Name: "reading", Levels: []int{1, 3}, ContextBytes: 1000},
		} {
			r, err := b.round(t.Context(), c, s, 5)
			require.NoError(t, err)
			require.Positive(t, r.Took)
			_, inRedis := c.(redisUser)
			require.True(t, inRedis || r.Redis == 0)
			host, postgres = host+r.Host, postgres+r.Postgres
		}
	}
	require.Positive(t, host)
	require.Positive(t, postgres)

	t.Log("a round that lost a task fails")
	_, err = b.round(t.Context(), forgetful{}, Shape{Name: "lossy", Levels: []int{1}, SQL: true}, 5)
	require.ErrorContains(t, err, "4 additions to the accounts, and 5 were to be done")
	_, err = b.round(t.Context(), forgetful{}, Shape{Name: "lossy", Levels: []int{1}}, 5)
	require.ErrorContains(t, err, "4 rows of steps, and 5 were to be done")

	t.Log("full tables, twice: they are filled once")
	full := Shape{Name: "full", Levels: []int{1, 2, 1}, SQL: true, Beside: tables{Finished: 60, Later: 30}}
	tasker := list[0].(*tasker)
	for range 2 {
		_, err = b.round(t.Context(), tasker, full, 5)
		require.NoError(t, err)
	}
	t.Log("old tasks that are deleted beside")
	pruned := Shape{Name: "pruned", Levels: []int{1, 2, 1}, SQL: true, Beside: tables{Finished: 6000, Pruned: true}}
	r, err := b.round(t.Context(), tasker, pruned, 20)
	require.NoError(t, err)
	rest, err := b.pruneRest(t.Context(), []contender{tasker}, pruned)
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Equal(t, 6000-1, r.Pruned+rest[0].Tasks, "the one that was copied is new")
	lists, err := b.timeLists(t.Context(), list, full, 1)
	require.NoError(t, err)
	require.NotEmpty(t, lists)
	require.NoError(t, b.postgres.with(t.Context(), databaseName(tasker.Name()+"_"+full.Name), func(conn *pgx.Conn) error {
		// One that failed, the copies, and two rounds.
		return expect(t.Context(), conn, 1+60+30+2*5, "tasks", "select count(*) from tasker.tasks")
	}))
}

// forgetful is a floor to which one task was not told.
type forgetful struct{ floor }

func (f forgetful) Prepare(ctx context.Context, conn *pgx.Conn, w Work) error {
	w.Tasks--
	return f.floor.Prepare(ctx, conn, w)
}

// A contender whose program fails is named, with what it printed.
func TestAContenderThatFails(t *testing.T) {
	t.Parallel()
	p, err := start(exec.Command("sh", "-c", "echo this went wrong; exit 3"), t.TempDir())
	require.NoError(t, err)
	err = p.await(t.Context(), "working")
	require.ErrorContains(t, err, "sh: it ended before it was working")
	require.NoError(t, p.stop())
	logged, err := p.logged("this went wrong")
	require.NoError(t, err)
	require.True(t, logged)
}
