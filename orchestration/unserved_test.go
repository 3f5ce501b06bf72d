package orchestration_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// workerRow is an engine whose row says that it works.
type workerRow struct {
	*bundle
	number int64
}

// newWorkerRow starts an engine that runs nothing.
func newWorkerRow(t *testing.T, pool *pgxpool.Pool) workerRow {
	t.Helper()
	w := workerRow{bundle: engineOn(t, pool, nil)}
	require.NoError(t, pool.QueryRow(t.Context(), "select number from tasker.workers order by started_at desc limit 1").Scan(&w.number))
	w.says(t, "works = true")
	return w
}

// says changes the engine's row.
func (w workerRow) says(t *testing.T, set string) {
	t.Helper()
	_, err := w.pool.Exec(t.Context(), "update tasker.workers set "+set+" where number = $1", w.number)
	require.NoError(t, err)
}

// A list says of each task on its page why no worker takes it. One worker that takes it is
// enough.
func TestATaskThatNoWorkerTakes(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		workers []string // what the rows of the workers say
		why     string
	}{
		"no worker":                         {nil, ""},
		"a worker that takes everything":    {[]string{""}, ""},
		"one of two takes everything":       {[]string{"queues = '{bulk}'", ""}, ""},
		"another template is refused":       {[]string{"refuses = '{99}', misses = '{Other}'"}, ""},
		"a filter lets it pass":             {[]string{"queues = '{default,bulk}', namespaces = '{ns}', names = '{test}'"}, ""},
		"a class is missing":                {[]string{"refuses = '{1}', misses = '{B,Other}'"}, "no live worker has B"},
		"all miss the same class":           {[]string{"refuses = '{1}', misses = '{A,B}'", "refuses = '{1}', misses = '{B}'"}, "no live worker has B"},
		"each misses another class":         {[]string{"refuses = '{1}', misses = '{A}'", "refuses = '{1}', misses = '{B}'"}, "no live worker has all of A, B"},
		"one of two has all classes":        {[]string{"refuses = '{1}', misses = '{A}'", "refuses = '{99}'"}, ""},
		"the other leaves it out":           {[]string{"refuses = '{1}', misses = '{A}'", "queues = '{bulk}'"}, "no live worker has A"},
		"what is missing is not said":       {[]string{"refuses = '{1}'"}, "no live worker has all of A, B"},
		"another queue":                     {[]string{"queues = '{bulk}'", "queues = '{mail}'"}, "no live worker takes queue default"},
		"another namespace":                 {[]string{"namespaces = '{shop}'"}, "no live worker takes namespace ns"},
		"another name":                      {[]string{"names = '{order}'"}, "no live worker takes name test"},
		"each lets another property pass":   {[]string{"queues = '{bulk}'", "namespaces = '{shop}'"}, "no live worker takes queue default with namespace ns"},
		"who does not work does not matter": {[]string{"works = false", "names = '{order}'"}, "no live worker takes name test"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := engine(t, nil)
			tpl := template(t, "a:\nb: a", "")
			waiting := b.submit(t, tpl, "{}")
			_, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, RunAt: time.Now().Add(time.Hour)})
			require.NoError(t, err)
			b.run(t, tpl)
			for _, says := range c.workers {
				w := newWorkerRow(t, b.pool)
				if says != "" {
					w.says(t, says)
				}
			}
			list, err := b.Tasks(t.Context(), orchestration.Filter{})
			require.NoError(t, err)
			require.Len(t, list, 3)
			for _, task := range list {
				d, err := b.Task(t.Context(), task.TaskID)
				require.NoError(t, err)
				require.Equal(t, task.WaitsFor, d.WaitsFor)
				if task.TaskID != waiting || c.why == "" {
					require.Nil(t, task.WaitsFor)
					continue
				}
				require.NotNil(t, task.WaitsFor)
				require.Equal(t, c.why, task.WaitsFor.String())
			}
		})
	}
}

// A held task waits for nobody, and the queue is the template's.
func TestATaskInAQueueThatNoWorkerTakes(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	w := newWorkerRow(t, b.pool)
	w.says(t, "queues = '{default}'")
	bulk := b.submit(t, named(t, "bulk", "a:", ""), "{}")
	held := b.submit(t, named(t, "bulk", "a:", ""), "{}")
	_, err := b.pool.Exec(t.Context(), `update tasker.templates set document = (document::jsonb || '{"queue": "bulk"}')::json where name = 'bulk'`)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), "update tasker.queue set held_by = $1, begun = true where task_id = $2", w.number, held)
	require.NoError(t, err)
	list, err := b.Tasks(t.Context(), orchestration.Filter{})
	require.NoError(t, err)
	require.Nil(t, list[0].WaitsFor)
	require.Equal(t, bulk, list[1].TaskID)
	require.Equal(t, &orchestration.Unserved{Queue: "bulk"}, list[1].WaitsFor)
	require.NoError(t, w.Close())
	list, err = b.Tasks(t.Context(), orchestration.Filter{})
	require.NoError(t, err)
	require.Nil(t, list[1].WaitsFor, "no worker lives")
}

// countedQueries counts the statements of a list.
type countedQueries struct {
	*pgxpool.Pool
	statements int
}

func (c *countedQueries) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.statements++
	return c.Pool.Query(ctx, sql, args...)
}

// A page costs no statement more for its length, or for the number of workers.
func TestHowManyStatementsAListTakes(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	count := func(f orchestration.Filter) int {
		db := &countedQueries{Pool: b.pool}
		_, err := orchestration.ListTasks(t.Context(), db, f)
		require.NoError(t, err)
		return db.statements
	}
	b.run(t, template(t, "a:", ""))
	require.Equal(t, 1, count(orchestration.Filter{}), "nothing is ready")
	for i := range 20 {
		_, err := b.SubmitMany(t.Context(), many(50, orchestration.Submission{Template: named(t, fmt.Sprint("t", i), "a:", "")}))
		require.NoError(t, err)
	}
	require.Equal(t, 2, count(orchestration.Filter{Limit: 1000}), "no worker lives")
	for range 5 {
		newWorkerRow(t, b.pool)
	}
	require.Equal(t, 2, count(orchestration.Filter{Limit: 1000}), "the workers take everything")
	_, err := b.pool.Exec(t.Context(), "update tasker.workers set refuses = '{1,2,3}', misses = '{A}' where works")
	require.NoError(t, err)
	require.Equal(t, 3, count(orchestration.Filter{Limit: 1}))
	require.Equal(t, 3, count(orchestration.Filter{Limit: 1000}))
}
