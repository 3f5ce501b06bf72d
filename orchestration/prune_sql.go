package orchestration

import "strconv"

// The candidates of a batch are the next tasks of a template, by number, whatever their
// state. So each batch reads as many rows as the one before it, and none twice: tasks in
// error that stay in front are passed once.

const (
	pruneBatch = 500  // tasks that a transaction looks at
	countBatch = 5000 // and a statement of a dry run
)

// prunedPageSQL selects the next tasks of a template. Parameters: $1 digest, $2 the number
// of the last task that was read. The limit is part of the text, because for a parameter
// the planner takes a tenth of the table.
func prunedPageSQL(limit int) string {
	return `
	page as materialized (
		select k.task_id, k.state, k.created_at, k.ended_at from tasker.tasks k
		where (k.digest, k.task_id) > ($1::text, $2::bigint) and (k.digest, k.task_id) <= ($1::text, 9223372036854775807)
		order by k.digest, k.task_id limit ` + strconv.Itoa(limit) + `)`
}

// dueSQL is a condition on a task of the page. $3 states, $4 the latest end.
const dueSQL = `state = any($3::text[]) and ended_at < $4::timestamptz`

var countPrunedSQL = `
	with` + prunedPageSQL(countBatch) + `
	select count(*), max(task_id), min(created_at), count(*) filter (where ` + dueSQL + `), ` + tasksRunSQL + ` from page`

// tasksRunSQL says whether a worker has a task in hand.
const tasksRunSQL = `exists (select from tasker.queue where begun and held_by is not null)`

// lazyCommitSQL lets a commit not wait for the disk. If the server crashes, the tasks are
// there again, with their steps, and are pruned again.
const lazyCommitSQL = `set local synchronous_commit = off`

// pruneSQL deletes the tasks of a page that are due. It waits for no lock, so it is in no
// deadlock: a task of which another transaction has locked something stays until the next
// pass. $5 is now. Attempts are deleted with their steps by a trigger, and the other rows
// by their foreign keys.
var pruneSQL = `
	with` + prunedPageSQL(pruneBatch) + `,
	k as materialized (
		select k.task_id, k.identity, k.state, k.ended_at
		from (select task_id from page where ` + dueSQL + ` offset 0) d join tasker.tasks k on k.task_id = d.task_id
		where k.` + dueSQL + ` for update of k skip locked),
	s as materialized (
		select s.step_id, s.task_id from k join tasker.steps s on s.task_id = k.task_id for update of s skip locked),
	p as materialized (
		select p.step_id from s join tasker.slots p on p.step_id = s.step_id for update of p skip locked),
	locked as materialized (
		select s.task_id from k join tasker.steps s on s.task_id = k.task_id where s.step_id not in (select step_id from s)
		union all
		select s.task_id from s join tasker.slots p on p.step_id = s.step_id where p.step_id not in (select step_id from p)),
	tombs as (
		insert into tasker.tombstones (identity_key, task_id, state, ended_at, pruned_at)
		select identity, task_id, state, ended_at, $5::timestamptz from k
		where identity is not null and task_id not in (select task_id from locked)
		on conflict do nothing),
	steps as (
		delete from tasker.steps t using s where t.step_id = s.step_id and s.task_id not in (select task_id from locked)),
	gone as (
		delete from tasker.tasks t using k where t.task_id = k.task_id and k.task_id not in (select task_id from locked)
		returning 1)
	select count(*), max(task_id), min(created_at), (select count(*) from gone), ` + tasksRunSQL + ` from page`
