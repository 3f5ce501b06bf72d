package orchestration

import (
	"context"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// Unserved says why no living worker takes a task that is ready. Either none of them has a
// handler class of the task, or the filters of all leave the task out. So it has either
// Classes or one of the others.
type Unserved struct {
	Classes                []string // more than one if no worker misses the same class as another
	Queue, Namespace, Name string   // more than one if each passes some worker's filters
}

// String is "no live worker has Shop::Ship", or "no live worker takes queue bulk".
func (u *Unserved) String() string {
	switch len(u.Classes) {
	case 0:
	case 1:
		return "no live worker has " + u.Classes[0]
	default:
		return "no live worker has all of " + strings.Join(u.Classes, ", ")
	}
	var parts []string
	for _, part := range [][2]string{{"queue", u.Queue}, {"namespace", u.Namespace}, {"name", u.Name}} {
		if part[1] != "" {
			parts = append(parts, part[0]+" "+part[1])
		}
	}
	return "no live worker takes " + strings.Join(parts, " with ")
}

// takersSQL selects what living workers take.
var takersSQL = `
	select w.queues, w.namespaces, w.names, w.misses, w.refuses
	from tasker.workers w where w.works and not w.draining and w.number in (` + livingSQL + `)`

// taker is what one living worker takes.
type taker struct {
	queues, namespaces, names []string // nil lets everything pass
	misses                    []string
	refuses                   []int32
}

func (t *taker) takesAll() bool {
	return t.queues == nil && t.namespaces == nil && t.names == nil && len(t.refuses) == 0
}

func passes(filter []string, value string) bool {
	return filter == nil || slices.Contains(filter, value)
}

// readySQL selects the templates of the tasks ($1) that are ready and that nobody holds.
const readySQL = `
	with q as materialized (
		select q.template, array_agg(q.task_id) as tasks from tasker.queue q
		where q.task_id = any($1) and q.ready and q.held_by is null group by q.template)
	select t.number, t.namespace, t.name, coalesce(t.document ->> 'queue', 'default'),
		array(select distinct s ->> 'handler_class' from json_array_elements(t.document -> 'step_templates') s order by 1), q.tasks
	from q join tasker.templates t on t.number = q.template`

// readyTemplate is a template of tasks that are ready.
type readyTemplate struct {
	number                 int32
	namespace, name, queue string
	classes                []string
	tasks                  []int64
}

// unserved returns, for each of the tasks that no living worker takes, why. It is empty
// while no worker lives. As long as all workers take everything, it asks one question.
func unserved(ctx context.Context, db Querier, tasks []int64) (map[int64]*Unserved, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	rows, err := db.Query(ctx, takersSQL)
	if err != nil {
		return nil, errors.Wrap(err, "reading what workers take")
	}
	takers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t taker, err error) {
		return t, row.Scan(&t.queues, &t.namespaces, &t.names, &t.misses, &t.refuses)
	})
	if err != nil || len(takers) == 0 || slices.ContainsFunc(takers, func(t taker) bool { return t.takesAll() }) {
		return nil, errors.Wrap(err, "reading what workers take")
	}
	rows, err = db.Query(ctx, readySQL, tasks)
	if err != nil {
		return nil, errors.Wrap(err, "reading the templates of ready tasks")
	}
	ready, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t readyTemplate, err error) {
		return t, row.Scan(&t.number, &t.namespace, &t.name, &t.queue, &t.classes, &t.tasks)
	})
	out := map[int64]*Unserved{}
	for i := range ready {
		if u := ready[i].unserved(takers); u != nil {
			for _, task := range ready[i].tasks {
				out[task] = u
			}
		}
	}
	return out, errors.Wrap(err, "reading the templates of ready tasks")
}

// unserved returns nil if one of the workers takes the template's tasks.
func (t *readyTemplate) unserved(takers []taker) *Unserved {
	var missed [][]string // the template's classes that each worker misses whose filters let it pass
	for _, w := range takers {
		if !passes(w.queues, t.queue) || !passes(w.namespaces, t.namespace) || !passes(w.names, t.name) {
			continue
		}
		if !slices.Contains(w.refuses, t.number) {
			return nil
		}
		missed = append(missed, slices.DeleteFunc(slices.Clone(t.classes), func(class string) bool { return !slices.Contains(w.misses, class) }))
	}
	if len(missed) > 0 {
		return &Unserved{Classes: t.missedByAll(missed)}
	}
	return t.leftOut(takers)
}

// missedByAll returns the first class that all of them miss, and otherwise all missed ones.
func (t *readyTemplate) missedByAll(missed [][]string) []string {
	var some []string
	for _, class := range t.classes {
		has := func(list []string) bool { return slices.Contains(list, class) }
		switch n := len(slices.DeleteFunc(slices.Clone(missed), func(list []string) bool { return !has(list) })); {
		case n == len(missed):
			return []string{class}
		case n > 0:
			some = append(some, class)
		}
	}
	if len(some) == 0 { // the row of the worker is about to be written anew
		return t.classes
	}
	return some
}

// leftOut says which of the template's properties the filters of all workers exclude.
func (t *readyTemplate) leftOut(takers []taker) *Unserved {
	excluded := func(filter func(taker) []string, value string) (by int) {
		for _, w := range takers {
			if !passes(filter(w), value) {
				by++
			}
		}
		return by
	}
	queue := excluded(func(w taker) []string { return w.queues }, t.queue)
	namespace := excluded(func(w taker) []string { return w.namespaces }, t.namespace)
	name := excluded(func(w taker) []string { return w.names }, t.name)
	switch len(takers) {
	case queue:
		return &Unserved{Queue: t.queue}
	case namespace:
		return &Unserved{Namespace: t.namespace}
	case name:
		return &Unserved{Name: t.name}
	}
	u := &Unserved{}
	if queue > 0 {
		u.Queue = t.queue
	}
	if namespace > 0 {
		u.Namespace = t.namespace
	}
	if name > 0 {
		u.Name = t.name
	}
	return u
}
