package orchestration_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// pruningPoll is so short that a worker prunes at once.
const pruningPoll = 2 * time.Millisecond

// What a template says wins over the worker's Keep. Without either, nothing is deleted.
func TestWorkerPrunes(t *testing.T) {
	t.Parallel()
	for _, keep := range []time.Duration{0, 5 * day} {
		clock, withClock := setClock()
		b := engine(t, nil, withClock)
		ids := map[string]int64{}
		for name, head := range map[string]string{"short": "keep: 1d\n", "long": "keep: 30d\n", "forever": "keep: forever\n", "plain": ""} {
			ids[name] = b.endIn(t, kept(t, name, head), orchestration.TaskComplete, name)
		}
		clock.Add(int64(10 * day / time.Microsecond))
		stop := b.work(t, orchestration.WorkerConfig{Poll: pruningPoll, Keep: keep})
		gone := []string{"short"}
		if keep > 0 {
			gone = append(gone, "plain")
		}
		require.Eventually(t, func() bool { return b.rows(t)["tombstones"] == len(gone) }, patience, 5*time.Millisecond)
		stop()
		for name, id := range ids {
			require.Equal(t, slices.Contains(gone, name), !b.exists(t, id), "%s, with Keep %v", name, keep)
		}
	}
}

// Of several workers one prunes at a time. When it is gone without a word, another one
// goes on after a while.
func TestOneWorkerPrunesAtATime(t *testing.T) {
	t.Parallel()
	clock, withClock := setClock()
	passes := &texts{counts: map[string]int{}}
	cfg := database(t).Config()
	cfg.ConnConfig.Tracer = passes
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := engineOn(t, pool, nil, withClock)
	id := b.endIn(t, kept(t, "plain", "keep: 1d\n"), orchestration.TaskComplete, "")
	clock.Add(int64(10 * day / time.Microsecond))
	_, err = b.pool.Exec(t.Context(), "insert into tasker.pruning (number, until) values (7, now() + interval '1 hour')")
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{Poll: pruningPoll})
	require.Eventually(t, func() bool { return passes.of("insert into tasker.pruning") >= 3 }, patience, time.Millisecond)
	require.True(t, b.exists(t, id))
	_, err = b.pool.Exec(t.Context(), "update tasker.pruning set until = now()")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !b.exists(t, id) }, patience, 5*time.Millisecond)
	require.Eventually(t, func() bool { return !b.anyPruning(t) }, patience, 5*time.Millisecond)
}

func (b *bundle) anyPruning(t *testing.T) (any bool) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), "select exists (select from tasker.pruning)").Scan(&any))
	return any
}

// of returns how many statements had the text.
func (c *texts) of(text string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for sql, count := range c.counts {
		if strings.Contains(sql, text) {
			n += count
		}
	}
	return n
}
