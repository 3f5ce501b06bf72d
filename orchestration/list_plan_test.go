package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// manyTasks is enough for sources that have too many tasks to look at all of them.
const manyTasks = 20_000

// loadManySQL loads manyTasks: of five templates, one of them for three tasks and one for
// the oldest only; in all states; the newest 6,000 are in the queue. Some have a time that
// is an hour out of order. Thousands of failed attempts were followed by others. Version 5
// ran one task in three: its attempts do not say what followed.
const loadManySQL = `
	insert into tasker.templates (digest, namespace, name, version, environment, document)
	values ('a1', 'shop', 'a', '1.0.0', '', '{}'), ('a2', 'shop', 'a', '2.0.0', '', '{}'), ('b', 'bank', 'b', '1.0.0', '', '{}'),
		('rare', 'bank', 'rare', '1.0.0', '', '{}'), ('oldest', 'shop', 'oldest', '1.0.0', '', '{}');
	insert into tasker.tasks (task_id, digest, namespace, name, version, state, context, tags, run_at, created_at, ended_at, begun_at)
	overriding system value
	select id, t.digest, t.namespace, t.name, t.version,
		case when id > 14000 then case when id % 40 in (3, 6) then 'in_progress' else 'pending' end
			when id % 15 in (2, 9) then 'error' when id % 100 = 21 and id < 9000 then 'cancelled'
			when id % 1000 = 75 then 'resolved_manually' else 'complete' end,
		'{}', case when id % 3 = 0 then '{}' else array_remove(array[
			case when id % 2 = 0 then 'even' else 'odd' end, case when id < 8000 then 'old' end, 'customer-' || id / 20], null) end, at, at,
		case when id <= 14000 then at end, case when id <= 14000 or id % 40 = 3 then at + interval '1 minute' end
	from generate_series(1, 20000) id cross join lateral (
		select timestamptz '2026-01-01' + (id + case when id % 97 = 0 then 60 when id % 89 = 0 then -60 else 0 end) * interval '1 minute' as at) a
	join tasker.templates t on t.digest = case when id in (40, 7000, 13000) then 'rare' when id < 900 then 'oldest'
		when id % 2 = 0 then 'a1' when id % 5 = 0 then 'a2' else 'b' end
	order by id;
	insert into tasker.steps (step_id, task_id, name, position, state, attempts, retry_limit, retryable, claimed_by)
	overriding system value
	select 2 * k.task_id + n, k.task_id, 'step' || n, n, case
			when k.state = 'error' and n = 0 or k.state = 'cancelled' and n = 0 and k.task_id % 200 = 21 then 'error'
			when k.state in ('complete', 'resolved_manually') then 'complete' when k.state = 'in_progress' then
				case when k.task_id % 40 = 6 then 'waiting_for_retry' when n = 0 then 'in_progress' else 'pending' end
			when k.state = 'cancelled' then 'cancelled' else 'pending' end,
		case when k.state in ('pending', 'cancelled') and not (k.state = 'cancelled' and n = 0 and k.task_id % 200 = 21) then 0
			when k.task_id % 12 = 4 then 2 else 1 end,
		3, true, case when k.state = 'in_progress' and n = 0 and k.task_id % 40 <> 6 then 7 end
	from tasker.tasks k, generate_series(0, 1) n where n = 0 or k.task_id % 10 = 6;
	insert into tasker.attempts (step_id, attempt, outcome, started_at, ended_at, to_state, error_class)
	select step_id, n, case when fails then 'error' else 'complete' end, '2026-01-01', '2026-01-01',
		case when fails and task_id % 3 > 0 then case when n < attempts or s.state = 'waiting_for_retry' then 'waiting_for_retry' else 'error' end end,
		case when fails then case when n < attempts then 'Retried' when task_id < 2500 then 'Old' when task_id % 400 = 9 then 'Rare'
			when s.name = 'step1' then 'Second' else 'Common' end end
	from tasker.steps s, lateral generate_series(1, attempts) n, lateral (
		select n < attempts or s.state in ('error', 'waiting_for_retry') as fails) f
	where not (s.state = 'in_progress' and n = attempts);
	insert into tasker.attempts (step_id, attempt, outcome, started_at, ended_at, to_state, error_class)
	select step_id, -n, 'error', '2026-01-01', '2026-01-01', 'waiting_for_retry', 'Retried' from tasker.steps, generate_series(1, 2) n where task_id % 8 = 1;
	insert into tasker.queue (task_id, template, due_at, priority, ready, begun, held_by)
	select k.task_id, t.number, k.run_at, 0, true, k.state = 'in_progress', case when k.state = 'in_progress' and k.task_id % 40 <> 6 then 7 + k.task_id % 3 end
	from tasker.tasks k join tasker.templates t using (digest) where k.state in ('pending', 'in_progress');
	analyze tasker.templates; analyze tasker.tasks; analyze tasker.steps; analyze tasker.attempts; analyze tasker.queue`

// loadMany returns a copy of a database that is loaded once.
func loadMany(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return pgtest.New(t, pgtest.WithTemplate(orchestration.Migrate, fillMany))
}

func fillMany(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.PgConn().Exec(ctx, loadManySQL).ReadAll(); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "vacuum tasker.tasks, tasker.steps, tasker.attempts, tasker.queue")
	return err
}

// planned is a pool that keeps the plan of each statement.
type planned struct {
	*pgxpool.Pool
	plans []string
}

func (p *planned) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := p.Pool.Query(ctx, "explain (format json) "+sql, args...)
	if err != nil {
		return nil, err
	}
	plan, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	p.plans = append(p.plans, plan)
	return p.Pool.Query(ctx, sql, args...)
}

// scanned returns the tables that a plan reads as a whole.
func scanned(t *testing.T, plan string) (tables []string) {
	t.Helper()
	var node any
	require.NoError(t, json.Unmarshal([]byte(plan), &node))
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			if kind, _ := v["Node Type"].(string); strings.HasSuffix(kind, "Seq Scan") {
				tables = append(tables, v["Relation Name"].(string))
			}
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(node)
	return tables
}

func minute(n int) time.Time {
	return time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC)
}

// listedFilters are each filter with a match, with an old one and with none, and
// combinations of two.
func listedFilters() map[string]orchestration.Filter {
	single := map[string][]orchestration.Filter{
		"namespace":   {{Namespace: "shop"}, {Namespace: "nowhere"}},
		"name":        {{Name: "a"}, {Name: "rare"}, {Name: "oldest"}, {Name: "none"}},
		"version":     {{Version: "2.0.0"}, {Version: "9.0.0"}},
		"tags":        {{Tags: []string{"even"}}, {Tags: []string{"old"}}, {Tags: []string{"customer-77"}}, {Tags: []string{"none"}}, {Tags: []string{"even", "odd"}}},
		"after":       {{CreatedAfter: minute(19_990)}, {CreatedAfter: minute(100)}, {CreatedAfter: minute(90_000)}},
		"before":      {{CreatedBefore: minute(100)}, {CreatedBefore: minute(19_000)}, {CreatedBefore: minute(-100)}},
		"between":     {{CreatedAfter: minute(5_000), CreatedBefore: minute(5_100)}},
		"error class": {{ErrorClass: "Common"}, {ErrorClass: "Rare"}, {ErrorClass: "Old"}, {ErrorClass: "Retried"}, {ErrorClass: "None"}},
		"begun":       {{BegunBefore: minute(15_000)}, {BegunBefore: minute(90_000)}, {BegunBefore: minute(10)}},
		"below":       {{Below: 10_000}, {Below: 1}},
	}
	for s := range orchestration.TaskTransitions {
		single["state"] = append(single["state"], orchestration.Filter{States: []orchestration.TaskState{s}})
	}
	single["state"] = append(single["state"], orchestration.Filter{States: []orchestration.TaskState{
		orchestration.TaskInError, orchestration.TaskPending, orchestration.TaskInError}})
	all := map[string]orchestration.Filter{"none": {}}
	for one, filters := range single {
		for i, f := range filters {
			all[fmt.Sprint(one, i)] = f
			for other, more := range single {
				for k, g := range more {
					if one < other {
						all[fmt.Sprint(one, i, " ", other, k)] = merged(f, g)
					}
				}
			}
		}
	}
	return all
}

func merged(f, g orchestration.Filter) orchestration.Filter {
	f.Namespace, f.Name, f.Version, f.ErrorClass = f.Namespace+g.Namespace, f.Name+g.Name, f.Version+g.Version, f.ErrorClass+g.ErrorClass
	f.States, f.Tags, f.Below = append(f.States, g.States...), append(f.Tags, g.Tags...), f.Below+g.Below
	if f.BegunBefore.IsZero() {
		f.BegunBefore = g.BegunBefore
	}
	if f.CreatedAfter.IsZero() {
		f.CreatedAfter = g.CreatedAfter
	}
	if f.CreatedBefore.IsZero() {
		f.CreatedBefore = g.CreatedBefore
	}
	return f
}

// A list reads no table of tasks, steps or attempts as a whole, also if nothing matches.
// And it is right.
func TestListsUseIndexes(t *testing.T) {
	t.Parallel()
	pool := loadMany(t)
	every := everyTask(t, pool)
	require.Len(t, every, manyTasks)
	filters := listedFilters()
	for i, name := range slices.Sorted(maps.Keys(filters)) {
		if strings.Contains(name, " ") && i%effort.Of(3, 1) != 0 { // a combination of two
			continue
		}
		f, p := filters[name], &planned{Pool: pool}
		list, err := orchestration.ListTasks(t.Context(), p, f)
		require.NoError(t, err, name)
		require.Equal(t, naive(every, f), numbers(list), name)
		for _, plan := range p.plans {
			for _, table := range scanned(t, plan) {
				require.NotContains(t, []string{"tasks", "steps", "attempts"}, table, "%s\n%s", name, plan)
			}
		}
	}
}

// Any filter selects what a loop over all tasks selects.
func TestRandomFilters(t *testing.T) {
	t.Parallel()
	pool := loadMany(t)
	every := everyTask(t, pool)
	some := func(r *rapid.T, name string, values ...string) string {
		return rapid.SampledFrom(append(values, make([]string, 2*len(values))...)).Draw(r, name)
	}
	rapid.Check(t, func(r *rapid.T) {
		f := orchestration.Filter{
			Namespace: some(r, "namespace", "shop", "bank"), Name: some(r, "name", "a", "b", "rare", "oldest"), Version: some(r, "version", "1.0.0", "2.0.0"),
			States:     rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(orchestration.TaskTransitions))), 0, 2).Draw(r, "states"),
			Tags:       rapid.SliceOfN(rapid.SampledFrom([]string{"even", "odd", "old", "customer-5", "customer-700"}), 0, 2).Draw(r, "tags"),
			ErrorClass: some(r, "class", "Common", "Rare", "Old", "Retried", "Second"),
			Limit:      rapid.SampledFrom([]int{0, 1, 7, 1000}).Draw(r, "limit"),
		}
		if rapid.Bool().Draw(r, "after") {
			f.CreatedAfter = minute(rapid.IntRange(-100, 21_000).Draw(r, "after"))
		}
		if rapid.Bool().Draw(r, "before") {
			f.CreatedBefore = minute(rapid.IntRange(-100, 21_000).Draw(r, "before"))
		}
		if rapid.IntRange(0, 3).Draw(r, "begun") == 0 {
			f.BegunBefore = minute(rapid.IntRange(-100, 21_000).Draw(r, "begun"))
		}
		if rapid.Bool().Draw(r, "below") {
			f.Below = int64(rapid.IntRange(1, manyTasks+1).Draw(r, "below"))
		}
		list, err := orchestration.ListTasks(t.Context(), pool, f)
		require.NoError(r, err)
		require.Equal(r, naive(every, f), numbers(list))
		n, err := orchestration.CountTasks(t.Context(), pool, f)
		require.NoError(r, err)
		f.Limit = manyTasks
		require.Equal(r, len(naive(every, f)), n)
	})
}

// listedTask is a task with the classes of the errors of its failed and waiting steps.
type listedTask struct {
	orchestration.TaskSummary
	classes []string
	begun   time.Time // or when it was submitted
}

// everyTask reads all tasks, newest first.
func everyTask(t *testing.T, pool *pgxpool.Pool) (all []listedTask) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		select k.task_id, k.namespace, k.name, k.version, k.state, k.tags, k.created_at, coalesce(k.begun_at, k.created_at), array(
			select a.error_class from tasker.steps s join tasker.attempts a on a.step_id = s.step_id and a.attempt = s.attempts
			where s.task_id = k.task_id and s.state in ('error', 'waiting_for_retry'))
		from tasker.tasks k order by k.task_id desc`)
	require.NoError(t, err)
	all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k listedTask, err error) {
		return k, row.Scan(&k.TaskID, &k.Namespace, &k.Name, &k.Version, &k.State, &k.Tags, &k.CreatedAt, &k.begun, &k.classes)
	})
	require.NoError(t, err)
	return all
}

// naive filters a list of all tasks.
func naive(all []listedTask, f orchestration.Filter) []int64 {
	limit := f.Limit
	if limit == 0 {
		limit = 50
	}
	out := []int64{}
	for _, k := range all {
		if (f.Namespace == "" || k.Namespace == f.Namespace) && (f.Name == "" || k.Name == f.Name) && (f.Version == "" || k.Version == f.Version) &&
			(len(f.States) == 0 || slices.Contains(f.States, k.State)) &&
			!slices.ContainsFunc(f.Tags, func(tag string) bool { return !slices.Contains(k.Tags, tag) }) &&
			(f.CreatedAfter.IsZero() || !k.CreatedAt.Before(f.CreatedAfter)) && (f.CreatedBefore.IsZero() || k.CreatedAt.Before(f.CreatedBefore)) &&
			(f.BegunBefore.IsZero() || k.State == orchestration.TaskInProgress && k.begun.Before(f.BegunBefore)) &&
			(f.ErrorClass == "" || slices.Contains(k.classes, f.ErrorClass)) && (f.Below == 0 || k.TaskID < f.Below) && len(out) < limit {
			out = append(out, k.TaskID)
		}
	}
	return out
}

func numbers(list []orchestration.TaskSummary) []int64 {
	out := make([]int64, len(list))
	for i, s := range list {
		out[i] = s.TaskID
	}
	return out
}
