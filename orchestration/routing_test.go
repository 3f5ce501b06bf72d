package orchestration_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// serving lets an engine have handlers of these classes, and no others.
func serving(classes ...string) func(*orchestration.Config) {
	return func(c *orchestration.Config) {
		h := orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{}}
		for _, class := range classes {
			h.ByClass[class], _ = resolver{}.ResolveHandler(context.Background(), class) // it never fails
		}
		c.Handlers = h
		mayLogErrors(c)
	}
}

// untouched requires that no worker has touched a task.
func (b *bundle) untouched(t *testing.T, id int64) {
	t.Helper()
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskPending, d.State)
	for _, s := range d.Steps {
		require.Zero(t, s.Attempts)
		require.Equal(t, orchestration.StepPending, s.State)
	}
	require.Len(t, d.Transitions, 1, "only submitted")
}

// What the living workers miss.
func (b *bundle) misses(t *testing.T) (classes []string) {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), "select unnest(misses) from tasker.workers where works order by 1")
	require.NoError(t, err)
	for rows.Next() {
		var class string
		require.NoError(t, rows.Scan(&class))
		classes = append(classes, class)
	}
	require.NoError(t, rows.Err())
	return classes
}

// Two releases side by side, and a worker of another project: each leaves alone the tasks
// whose classes it has not, at no attempt. They wait for a worker that has all of them.
func TestWorkerTakesOnlyWhatItCanServe(t *testing.T) {
	t.Parallel()
	submitter := engine(t, nil)
	old := engineOn(t, submitter.pool, nil, serving("A"))
	other := engineOn(t, submitter.pool, nil, serving("Other"))
	old.work(t, orchestration.WorkerConfig{})
	other.work(t, orchestration.WorkerConfig{})
	before := submitter.submit(t, named(t, "order", "a:", ""), `{}`)
	after := submitter.submit(t, named(t, "order", "a:\nb: a", ""), `{}`)
	submitter.waitForTasks(t, orchestration.TaskComplete, 1)
	d, err := submitter.Task(t.Context(), before)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, d.State)
	require.Eventually(t, func() bool { return slices.Equal(old.misses(t), []string{"A", "B", "B"}) }, patience, 5*time.Millisecond)
	submitter.untouched(t, after)
	release := engineOn(t, submitter.pool, nil, serving("A", "B"))
	release.work(t, orchestration.WorkerConfig{})
	submitter.waitForTasks(t, orchestration.TaskComplete, 2)
	// The new one serves both.
	_, err = submitter.SubmitMany(t.Context(), slices.Concat(
		many(50, orchestration.Submission{Template: named(t, "order", "a:", ""), Context: json.RawMessage(`{}`)}),
		many(50, orchestration.Submission{Template: named(t, "order", "a:\nb: a", ""), Context: json.RawMessage(`{}`)})))
	require.NoError(t, err)
	submitter.waitForTasks(t, orchestration.TaskComplete, 102)
	var touched int
	require.NoError(t, submitter.pool.QueryRow(t.Context(), "select count(*) from tasker.steps where attempts <> 1").Scan(&touched))
	require.Zero(t, touched)
}

// A backlog of another project, of a higher priority, does not hold a worker up.
func TestForeignBacklogIsPassedOver(t *testing.T) {
	t.Parallel()
	b := engine(t, nil, serving("A"))
	_, err := b.SubmitMany(t.Context(), many(5000, orchestration.Submission{
		Template: named(t, "foreign", "x:", ""), Context: json.RawMessage(`{}`), Priority: 9}))
	require.NoError(t, err)
	_, err = b.SubmitMany(t.Context(), many(300, orchestration.Submission{Template: named(t, "own", "a:", ""), Context: json.RawMessage(`{}`)}))
	require.NoError(t, err)
	b.work(t, orchestration.WorkerConfig{})
	b.waitForTasks(t, orchestration.TaskComplete, 300)
	require.Equal(t, 5000, b.inState(t, orchestration.TaskPending))
}

// An error inside a class is no absent class: it fails the step.
func TestBrokenClassFailsItsStep(t *testing.T) {
	t.Parallel()
	b := engine(t, nil, mayLogErrors)
	b.work(t, orchestration.WorkerConfig{})
	id := b.submit(t, template(t, "missing:", ""), `{}`) // the resolver has an error of its own for it
	b.waitForTasks(t, orchestration.TaskInError, 1)
	d, err := b.Task(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1, d.Steps[0].Attempts)
}

// All filters must hold.
func TestWorkerFilters(t *testing.T) {
	t.Parallel()
	inQueue := func(namespace, name, queue string) *templates.Template {
		text := "name: " + name + "\nnamespace_name: " + namespace + "\nversion: 1.0.0\n"
		if queue != "" {
			text += "queue: " + queue + "\n"
		}
		parsed, err := templates.Parse([]byte(text+"step_templates:\n  - {name: a, handler_class: A}\n"), "test.yaml")
		require.NoError(t, err)
		return parsed
	}
	all := []*templates.Template{inQueue("shop", "order", ""), inQueue("shop", "refund", "slow"), inQueue("blog", "order", "slow"), inQueue("blog", "mail", "mail")}
	for name, c := range map[string]struct {
		config orchestration.WorkerConfig
		wanted []string
	}{
		"namespace":           {orchestration.WorkerConfig{Namespaces: []string{"shop"}}, []string{"shop/order", "shop/refund"}},
		"name":                {orchestration.WorkerConfig{Names: []string{"order", "mail"}}, []string{"blog/mail", "blog/order", "shop/order"}},
		"queue":               {orchestration.WorkerConfig{Queues: []string{"slow", "mail"}}, []string{"blog/mail", "blog/order", "shop/refund"}},
		"the default queue":   {orchestration.WorkerConfig{Queues: []string{"default"}}, []string{"shop/order"}},
		"namespace and queue": {orchestration.WorkerConfig{Namespaces: []string{"shop"}, Queues: []string{"slow"}}, []string{"shop/refund"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := engine(t, nil)
			b.work(t, c.config)
			for _, tpl := range all {
				b.submit(t, tpl, `{}`)
			}
			b.waitForTasks(t, orchestration.TaskComplete, len(c.wanted))
			var done []string
			require.NoError(t, b.pool.QueryRow(t.Context(),
				"select array_agg(namespace || '/' || name order by namespace, name) from tasker.tasks where state = 'complete'").Scan(&done))
			require.Equal(t, c.wanted, done)
			require.Equal(t, len(all)-len(c.wanted), b.inState(t, orchestration.TaskPending))
		})
	}
}
