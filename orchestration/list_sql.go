package orchestration

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The statement of a list is made of fragments, one for each filter that is set. It must
// be fast also if no task matches, or only an old one. So the way is not left to the
// planner, which knows averages: one source finds tasks by an index, newest first, and
// the other filters are conditions on what it finds. If several sources are possible, they
// are counted first, up to fewTasks. The counts are a hint: the list is exact with any
// source.
//
// Where the planner would prefer to read a whole table, the fragments leave it no choice:
// "offset 0" keeps it from merging two selects, and a select around a parameter hides its
// value.
//
// What remains slow: two filters that have tens of thousands of tasks each and none, or
// only old ones, together.

// The conditions on a task k.
const (
	ofNamespaceSQL   = `k.namespace = @namespace`
	ofNameSQL        = `k.name = @name`
	ofVersionSQL     = `k.version = @version`
	inStatesSQL      = `k.state = any(@states::text[])`
	withTagsSQL      = `k.tags @> @tags::text[]`
	createdAfterSQL  = `k.created_at >= @created_after::timestamptz`
	createdBeforeSQL = `k.created_at < @created_before::timestamptz`
	// Version 5 did not note when it had begun a task.
	begunBeforeSQL = `coalesce(k.begun_at, k.created_at) < @begun_before::timestamptz`
	withErrorSQL   = `exists (
		select from tasker.steps s join tasker.attempts a on a.step_id = s.step_id and a.attempt = s.attempts
		where s.task_id = k.task_id and s.state in ('error', 'waiting_for_retry') and a.error_class = @error_class offset 0)`

	belowSQL      = `k.task_id < @below`
	fromLowestSQL = `k.task_id >= (select lowest from lowest)`
	toHighestSQL  = `k.task_id <= (select highest from highest)`
)

// The numbers of the first task after a time and of the last one before a time. Tasks
// have nearly the order of their times, but not quite: tasks_created finds the task next
// to the time, and tasks_order the few beyond it that are out of order. Both limits of a
// range are given, because the planner takes such a range for a small one. If it took the
// statement for a large one, it would compile it, which lasts longer than the statement.
const (
	lowestSQL = `
	after as materialized (
		select task_id from tasker.tasks where created_at >= @created_after::timestamptz order by created_at limit 1),
	lowest as materialized (
		select x.lowest from after cross join lateral (
			select min(k.task_id + 0) as lowest from tasker.tasks k
			where k.task_id + 0 between 0 and after.task_id
			and k.created_at at time zone 'UTC' between (select @created_after::timestamptz at time zone 'UTC') and 'infinity') x)`
	highestSQL = `
	before as materialized (
		select task_id from tasker.tasks where created_at < @created_before::timestamptz order by created_at desc limit 1),
	highest as materialized (
		select x.highest from before cross join lateral (
			select max(k.task_id + 0) as highest from tasker.tasks k
			where k.task_id + 0 between before.task_id and 9223372036854775807
			and k.created_at at time zone 'UTC' >= '-infinity' and k.created_at at time zone 'UTC' < (select @created_before::timestamptz at time zone 'UTC')) x)`
)

// fewTasks is how many tasks may be looked at for a list. recentTasks is how many of the
// newest are looked at for a filter that may be a common one.
const (
	fewTasks    = 5000
	recentTasks = 20_000
)

// source finds tasks by an index.
type source struct {
	count  string // selects one row for each task, up to fewTasks
	newest string // selects the numbers of the newest tasks that meet the conditions, up to the limit
}

// listing makes the statements for a filter.
type listing struct {
	filter Filter
	args   pgx.NamedArgs

	with       []string // common table expressions
	bounds     []string // conditions on the number of k
	ofTemplate []string // conditions that also hold for the template of k
	inStates   []string // the condition on its state
	others     []string // other conditions on k
	failed     []string // the condition on its failed steps
}

func newListing(f Filter) *listing {
	f.States = f.withoutRepeats()
	l := &listing{filter: f, args: pgx.NamedArgs{"limit": f.Limit, "few": fewTasks, "recent": recentTasks}}
	add := func(to *[]string, set bool, condition, name string, value any) {
		if set {
			*to = append(*to, condition)
			l.args[name] = value
		}
	}
	add(&l.ofTemplate, f.Namespace != "", ofNamespaceSQL, "namespace", f.Namespace)
	add(&l.ofTemplate, f.Name != "", ofNameSQL, "name", f.Name)
	add(&l.ofTemplate, f.Version != "", ofVersionSQL, "version", f.Version)
	add(&l.inStates, len(f.States) > 0, inStatesSQL, "states", texts(f.States))
	add(&l.others, len(f.Tags) > 0, withTagsSQL, "tags", f.Tags)
	add(&l.others, !f.BegunBefore.IsZero(), begunBeforeSQL, "begun_before", f.BegunBefore)
	add(&l.failed, f.ErrorClass != "", withErrorSQL, "error_class", f.ErrorClass)
	add(&l.bounds, f.Below != 0, belowSQL, "below", f.Below)
	if !f.CreatedAfter.IsZero() {
		l.with = append(l.with, lowestSQL)
		l.bounds = append(l.bounds, fromLowestSQL)
		add(&l.others, true, createdAfterSQL, "created_after", f.CreatedAfter)
	}
	if !f.CreatedBefore.IsZero() {
		l.with = append(l.with, highestSQL)
		l.bounds = append(l.bounds, toHighestSQL)
		add(&l.others, true, createdBeforeSQL, "created_before", f.CreatedBefore)
	}
	return l
}

// all are conditions of which each must hold.
func all(lists ...[]string) string {
	list := slices.Concat(lists...)
	if len(list) == 0 {
		return "true"
	}
	return strings.Join(list, " and ")
}

func (l *listing) conditions() string {
	return all(l.bounds, l.ofTemplate, l.inStates, l.others, l.failed)
}

// onTemplate are the conditions on a template t.
func (l *listing) onTemplate() string { return strings.ReplaceAll(all(l.ofTemplate), "k.", "t.") }

// byNumber goes from the newest task on.
func (l *listing) byNumber() source {
	tasks := `tasker.tasks k`
	if len(l.with) > 0 { // not by time
		tasks = `(select * from tasker.tasks k where ` + all(l.bounds) + ` order by k.task_id desc offset 0) k`
	}
	return source{
		count:  `select from tasker.tasks k where ` + all(l.bounds) + ` order by k.task_id desc limit @few`,
		newest: `select k.task_id from ` + tasks + ` where ` + l.conditions() + ` order by k.task_id desc limit @limit`,
	}
}

// ofTemplateSQL are the tasks k of a template t. It says k.digest = t.digest as a range of
// tasks_template: for a table that was not analyzed yet, the planner takes the tasks of a
// template for few, and would read and sort them all.
const ofTemplateSQL = `(k.digest, k.task_id) >= (t.digest, 0) and (k.digest, k.task_id) <= (t.digest, 9223372036854775807)`

// byTemplate goes from the newest task of each template on.
func (l *listing) byTemplate() source {
	return source{
		count: `
		select from tasker.templates t cross join lateral (
			select from tasker.tasks k where ` + ofTemplateSQL + ` order by k.digest desc, k.task_id desc limit @few) k
		where ` + l.onTemplate() + ` limit @few`,
		newest: `
		select k.task_id from tasker.templates t cross join lateral (
			select k.task_id from tasker.tasks k where ` + ofTemplateSQL + ` and ` + all(l.bounds, l.inStates, l.others, l.failed) + `
			order by k.digest desc, k.task_id desc limit @limit) k
		where ` + l.onTemplate() + ` order by k.task_id desc limit @limit`,
	}
}

// byTags reads all tasks with the tags.
func (l *listing) byTags() source {
	const tagged = `tasker.tasks k where k.tags @> (select @tags::text[]) and k.tags <> '{}'`
	return source{
		count: `select from ` + tagged + ` limit @few`,
		newest: `
		select k.task_id from (select * from ` + tagged + ` offset 0) k
		where ` + l.conditions() + ` order by k.task_id desc limit @limit`,
	}
}

// failedAttemptsSQL has a range of all numbers. The planner takes it for a small one, which
// is right: the source is used if there are few.
const failedAttemptsSQL = `
	select a.step_id, a.attempt from tasker.attempts a
	where a.error_class = @error_class and a.step_id between (select 0::bigint) and (select 9223372036854775807)`

// byError reads the attempts with the class of the error.
func (l *listing) byError() source {
	return l.byAttempts(failedAttemptsSQL)
}

// byLastError reads only the attempts after which the step was in error, and all tasks in
// progress: of the attempts after which a step waited for the next one, most have long
// been followed by others. Attempts of version 5 do not say what followed.
func (l *listing) byLastError() source {
	return l.union(
		l.byAttempts(failedAttemptsSQL+` and a.to_state = 'error' union all `+failedAttemptsSQL+` and a.to_state is null`),
		l.byState([]TaskState{TaskInProgress}))
}

func (l *listing) byAttempts(attempts string) source {
	return source{
		count: `select from (` + attempts + `) a limit @few`,
		newest: `
		select k.task_id from (
			select distinct s.task_id from (` + attempts + ` offset 0) a
			cross join lateral (
				select s.task_id from tasker.steps s
				where s.step_id = a.step_id and s.attempts = a.attempt and s.state in ('error', 'waiting_for_retry') offset 0) s) s
		cross join lateral (select k.task_id from tasker.tasks k where k.task_id = s.task_id and ` + all(l.bounds, l.ofTemplate, l.inStates, l.others) + ` offset 0) k
		order by k.task_id desc limit @limit`,
	}
}

// inQueue reads the tasks of the queue that have begun, or that have not. tasks.state
// decides.
func (l *listing) inQueue(begun, state string) source {
	queued := `tasker.queue k where ` + begun
	places := all([]string{queued}, l.bounds)
	if len(l.ofTemplate) > 0 {
		places += ` and k.template in (select t.number from tasker.templates t where ` + l.onTemplate() + `)`
	}
	return source{
		count: `select from ` + queued + ` limit @few`,
		newest: `
		select k.task_id from (select k.task_id from ` + places + ` order by k.task_id desc offset 0) q
		cross join lateral (select k.task_id from tasker.tasks k where k.task_id = q.task_id and ` + all([]string{state}, l.others, l.failed) + ` offset 0) k
		order by q.task_id desc limit @limit`,
	}
}

// byEnd goes from the newest task of each rare final state on.
func (l *listing) byEnd() source {
	ended := `select * from tasker.tasks k where k.ended_otherwise = e.state and ` + all(l.bounds) + ` order by k.task_id desc offset 0`
	if len(l.ofTemplate) > 0 { // before conditions for which the task must be read
		ended = `select * from (` + ended + `) k where k.digest in (select t.digest from tasker.templates t where ` + l.onTemplate() + `) offset 0`
	}
	return source{
		count: `
		select from unnest(@ended::text[]) as e (state) cross join lateral (
			select from tasker.tasks k where k.ended_otherwise = e.state order by k.task_id desc limit @few) k limit @few`,
		newest: `
		select k.task_id from unnest(@ended::text[]) as e (state) cross join lateral (
			select k.task_id from (` + ended + `) k where ` + all(l.others, l.failed) + ` order by k.task_id desc limit @limit) k
		order by k.task_id desc limit @limit`,
	}
}

// byState is a source for any states but complete.
func (l *listing) byState(states []TaskState) source {
	var parts []source
	var ended []TaskState
	for _, s := range states {
		switch s {
		case TaskPending:
			parts = append(parts, l.inQueue("not k.begun", "k.state = 'pending'"))
		case TaskInProgress:
			parts = append(parts, l.inQueue("k.begun", "k.state = 'in_progress'"))
		default:
			ended = append(ended, s)
		}
	}
	if len(ended) > 0 {
		l.args["ended"] = texts(ended)
		parts = append(parts, l.byEnd())
	}
	return l.union(parts...)
}

// union finds what one of the sources finds. A task that two find is listed once.
func (l *listing) union(parts ...source) source {
	if len(parts) == 1 {
		return parts[0]
	}
	var counts, newest []string
	for _, p := range parts {
		counts, newest = append(counts, "("+p.count+")"), append(newest, "("+p.newest+")")
	}
	return source{
		count:  strings.Join(counts, "\n\t\tunion all\n\t\t") + " limit @few",
		newest: strings.Join(newest, "\n\t\tunion\n\t\t") + " order by task_id desc limit @limit",
	}
}

// recent goes from the newest task on, and not far.
func (l *listing) recent() source {
	return source{newest: `
		select k.task_id from (select * from tasker.tasks k where ` + all(l.bounds) + ` order by k.task_id desc limit @recent) k
		where ` + all(l.ofTemplate, l.inStates, l.others, l.failed) + ` order by k.task_id desc limit @limit`,
	}
}

// failedStates are the states of tasks that can have a failed or waiting step.
var failedStates = []TaskState{TaskInProgress, TaskInError, TaskCancelled, TaskResolvedManually}

// source returns the source for the list. count says how many tasks sources have.
func (l *listing) source(count func([]source) ([]int, error)) (source, error) {
	var possible []source // if all have many tasks, the first is used
	if len(l.filter.Tags) > 0 {
		possible = append(possible, l.byTags())
	}
	if states := l.filter.States; len(states) > 0 && !slices.Contains(states, TaskComplete) {
		s := l.byState(states)
		if slices.ContainsFunc(states, func(s TaskState) bool { return !s.Final() }) {
			possible = append(possible, s)
		} else { // the index of byEnd is small
			possible = slices.Insert(possible, 0, s)
		}
	}
	if len(l.ofTemplate) > 0 {
		possible = append(possible, l.byTemplate())
	}
	if len(l.with) > 0 {
		possible = append(possible, l.byNumber())
	}
	if l.filter.ErrorClass != "" {
		possible = append(possible, l.byError(), l.byLastError())
	}
	switch len(possible) {
	case 0:
		return l.byNumber(), nil
	case 1:
		return possible[0], nil
	}
	counts, err := count(possible)
	if err != nil {
		return source{}, err
	}
	if least := slices.Min(counts); least < fewTasks {
		return possible[slices.Index(counts, least)], nil
	}
	return possible[0], nil
}

// withoutRepeats also leaves out the states that other filters exclude.
func (f Filter) withoutRepeats() []TaskState {
	states := slices.Compact(slices.Sorted(slices.Values(f.States)))
	for _, allowed := range f.statesOfOthers() {
		if len(f.States) == 0 && len(states) == 0 {
			states = slices.Clone(allowed)
		}
		states = slices.DeleteFunc(states, func(s TaskState) bool { return !slices.Contains(allowed, s) })
	}
	return states
}

// statesOfOthers are the states that filters other than that of the state allow. The
// narrowest comes first.
func (f Filter) statesOfOthers() (lists [][]TaskState) {
	if !f.BegunBefore.IsZero() {
		lists = append(lists, []TaskState{TaskInProgress})
	}
	if f.ErrorClass != "" {
		lists = append(lists, failedStates)
	}
	return lists
}

// selectsNothing reports whether the other filters exclude all states that were asked for.
func (f Filter) selectsNothing() bool { return len(f.States) == 0 && len(f.statesOfOthers()) > 0 }

func (l *listing) countSQL(sources []source) string {
	counts := make([]string, len(sources))
	for i, s := range sources {
		counts[i] = `(select count(*) from (` + s.count + `) x)`
	}
	return l.withSQL() + `select array[` + strings.Join(counts, ", ") + `]`
}

func (l *listing) withSQL() string {
	if len(l.with) == 0 {
		return ""
	}
	return "with" + strings.Join(l.with, ",") + "\n"
}

// listedSQL reads the tasks with the numbers that %s selects.
const listedSQL = `
	select k.task_id, k.namespace, k.name, k.version, k.state, k.tags, k.priority, k.created_at, k.ended_at, greatest(q.due_at, k.run_at),
		q.held_by is not null, coalesce(q.ready and q.held_by is null, false),
		c.steps, c.done, c.failed, coalesce(b.name, ''), coalesce(b.error_class, '')
	from (%s) i
	cross join lateral (select * from tasker.tasks k where k.task_id = i.task_id offset 0) k
	left join lateral (select * from tasker.queue q where q.task_id = i.task_id offset 0) q on true
	cross join lateral (
		select count(*)::int as steps, (count(*) filter (where state in ('complete', 'resolved_manually')))::int as done,
			(count(*) filter (where state = 'error'))::int as failed
		from tasker.steps s where s.task_id = i.task_id) c
	left join lateral (
		select s.name, a.error_class from tasker.steps s
		left join lateral (select a.error_class from tasker.attempts a where a.step_id = s.step_id and a.attempt = s.attempts offset 0) a on true
		where s.task_id = i.task_id and s.state in ('error', 'waiting_for_retry')
		order by s.state, s.position limit 1) b on true
	order by k.task_id desc`

// query reads the list.
func (l *listing) query(ctx context.Context, db Querier) ([]TaskSummary, error) {
	if l.filter.selectsNothing() {
		return nil, nil
	}
	if len(l.filter.Tags) > 0 { // to count the tasks with a common tag takes longer
		list, err := l.read(ctx, db, l.recent())
		if err != nil || len(list) == l.filter.Limit {
			return list, err
		}
	}
	s, err := l.choose(ctx, db)
	if err != nil {
		return nil, err
	}
	return l.read(ctx, db, s)
}

// choose counts the sources, and returns the one to read.
func (l *listing) choose(ctx context.Context, db Querier) (source, error) {
	return l.source(func(sources []source) ([]int, error) {
		rows, err := db.Query(ctx, l.countSQL(sources), pgx.QueryExecModeExec, l.args)
		if err != nil {
			return nil, err
		}
		return pgx.CollectExactlyOneRow(rows, pgx.RowTo[[]int])
	})
}

// countAll counts all tasks that the filter selects.
func (l *listing) countAll(ctx context.Context, db Querier) (int, error) {
	if l.filter.selectsNothing() {
		return 0, nil
	}
	s, err := l.choose(ctx, db)
	if err != nil {
		return 0, err
	}
	l.args["limit"] = nil
	rows, err := db.Query(ctx, l.withSQL()+`select count(*) from (`+s.newest+`) i`, pgx.QueryExecModeExec, l.args)
	if err != nil {
		return 0, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
}

// read reads the list from a source. The server plans it for these values: a plan for any
// values would be a guess.
func (l *listing) read(ctx context.Context, db Querier, s source) ([]TaskSummary, error) {
	rows, err := db.Query(ctx, l.withSQL()+fmt.Sprintf(listedSQL, s.newest), pgx.QueryExecModeExec, l.args)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanSummary)
}
