package orchestration

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// A step whose template has a concurrency_key takes a permit of that key with its
// claim. The statements below are sent only for such steps, in the same round trip as
// the claim. Permits are rows of tasker.slots, which migration 003 explains.

// permitLockSpace is the first half of the advisory locks on keys: "slot" in ASCII.
const permitLockSpace = 0x736c6f74

// reservedFor is how long a permit is kept for the step that was woken for it.
const reservedFor = 2 * time.Second

// A step that got no permit asks again after a while, because the engine that would
// wake it may be gone. It waits longer the more steps wait for the key: together they
// ask at most once in permitPace.
const (
	permitPace    = 50 * time.Millisecond
	permitWaitMin = time.Second
	permitWaitMax = 30 * time.Second
)

// permitWait is how long a step waits when so many steps wait for its key.
func permitWait(waiting int) time.Duration {
	return min(max(time.Duration(waiting)*permitPace, permitWaitMin), permitWaitMax)
}

// lockKeysSQL locks keys ($2) until the commit, so that two transactions never count
// the permits of a key at the same time. It must be a statement of its own: a
// statement does not see what was committed while it waited for a lock.
const lockKeysSQL = `
	select pg_advisory_xact_lock($1, h) from (select distinct hashtext(k) as h from unnest($2::text[]) k order by 1) x`

// dropPermitsSQL deletes the permits of claims that have ended, and the oldest rows of
// steps that no longer wait.
var dropPermitsSQL = `
	delete from tasker.slots h where h.key = any($1) and h.claimant is not null and (
		h.claimant not in (` + livingSQL + `) or not exists (
			select from tasker.steps s
			where s.step_id = h.step_id and s.state = 'in_progress' and s.claimed_by = h.claimant and s.attempts = h.attempt))
	or h.step_id in (
		select w.step_id from unnest($1::text[]) as q (key) cross join lateral (
			select step_id from tasker.slots where key = q.key and claimant is null order by since, step_id limit 100) w
		where not exists (
			select from tasker.steps s join tasker.tasks k using (task_id)
			where s.step_id = w.step_id and s.state in ('pending', 'waiting_for_retry') and k.state = 'in_progress'))`

// wakeWaitingSQL wakes, for each free permit of the keys ($1), the step that has waited
// longest. Its task goes before tasks that no worker has begun. The task's revision
// counts up: a worker that is about to give the task back then notices the change.
const wakeWaitingSQL = `
	with w as (
		select x.*, row_number() over (partition by x.key order by x.since, x.step_id) as n
		from (select distinct unnest($1::text[]) as key) q cross join lateral (
			select h.step_id, h.key, h.capacity, h.since, s.task_id
			from tasker.slots h join tasker.steps s using (step_id) join tasker.tasks k using (task_id)
			where h.key = q.key and h.claimant is null and s.state in ('pending', 'waiting_for_retry') and k.state = 'in_progress'
			order by h.since, h.step_id limit 100) x),
	d as (
		select * from w where n <= w.capacity - (
			select count(*) from tasker.slots h where h.key = w.key and h.claimant is not null)),
	m as (update tasker.slots h set woken_at = $2 from d where h.step_id = d.step_id),
	r as (
		update tasker.tasks k set revision = k.revision + 1
		from (select distinct task_id from d) d where k.task_id = d.task_id
		returning k.task_id),
	k as (
		update tasker.queue q set due_at = ` + atOnceSQL + `, ready = true from r where q.task_id = r.task_id
		returning q.task_id)
	select pg_notify('` + channelTask + `', task_id::text), pg_notify('` + channelWake + `', '') from k`

var permitColumns = append(slices.Clone(claimColumns),
	newColumn("key", "text", func(r *claimRow) string { return r.key }),
	newColumn("capacity", "int", func(r *claimRow) int32 { return r.capacity }))

// claimPermitsSQL is claimSQL for steps with a key. It also returns the steps that got
// no permit, with the number of steps that wait for the key, and lets them wait in
// tasker.slots.
//
// $1 is claimable, $2 reservedFor, $3 the largest count that matters, $4 the engine's
// number, and permitColumns follow.
var claimPermitsSQL = `
	with i as (
		select * from ` + permitColumns.unnest("i", 5) + ` where i.claimant = $4),
	l as materialized (select ` + livesSQL("$4::bigint") + ` as lives),
	o as (
		select i.*
		from i join tasker.steps s on s.step_id = i.step_id and s.attempts = i.attempts
		join tasker.tasks k on k.task_id = s.task_id
		where s.state = any($1) and k.state = 'in_progress' and (select lives from l)
		order by s.step_id for no key update of s),
	r as (
		select o.*, o.capacity
			- (select count(*) from tasker.slots h where h.key = o.key and h.claimant is not null)
			- (select count(*) from tasker.slots h where h.key = o.key and h.claimant is null
				and h.woken_at > o.at - $2::interval and h.since < coalesce(m.since, o.at) and h.step_id not in (select step_id from o))
			- row_number() over (partition by o.key order by coalesce(m.since, o.at), o.step_id) >= 0 as permitted
		from o left join tasker.slots m on m.step_id = o.step_id),
	u as (
		update tasker.steps s
		set state = 'in_progress', attempts = s.attempts + 1, claimed_by = r.claimant, last_attempted_at = r.at, next_attempt_at = null
		from r where r.permitted and s.step_id = r.step_id
		returning s.step_id),
	h as (
		insert into tasker.slots (step_id, key, capacity, claimant, attempt, since)
		select step_id, key, capacity, case when permitted then claimant end, case when permitted then attempts + 1 end, at from r
		on conflict (step_id) do update set key = excluded.key, capacity = excluded.capacity,
			claimant = excluded.claimant, attempt = excluded.attempt, woken_at = null)
	select request, step_id, permitted, case when permitted then 0 else (
		select count(*) from (select from tasker.slots h where h.key = r.key and h.claimant is null limit $3) x) end
	from r
	union all select -1, 0, false, 0 from l where not lives`

// permitRequest says that a permit of the key was freed.
type permitRequest struct {
	requestBase
	key string
	at  time.Time
}

func (r *permitRequest) join(g *requestsByKind) { g.freed = append(g.freed, r) }

// queueKeyLocks adds the locks on all keys of the group to the batch. They come before
// every statement that locks rows.
func queueKeyLocks(batch *pgx.Batch, g *requestsByKind) {
	n := len(g.freed) + len(g.permitRows)
	if n == 0 {
		return
	}
	keys := make([]string, 0, n)
	for _, r := range g.freed {
		keys = append(keys, r.key)
	}
	for _, row := range g.permitRows {
		keys = append(keys, row.key)
	}
	slices.Sort(keys)
	batch.Queue(lockKeysSQL, permitLockSpace, slices.Compact(keys))
}

// queueFreedPermits adds the wake-up of waiting steps to the batch.
func queueFreedPermits(batch *pgx.Batch, g *requestsByKind) {
	if len(g.freed) == 0 {
		return
	}
	keys := make([]string, len(g.freed))
	for i, r := range g.freed {
		keys[i] = r.key
	}
	batch.Queue(dropPermitsSQL, keys)
	batch.Queue(wakeWaitingSQL, keys, g.freed[len(g.freed)-1].at)
}

// queuePermitClaims adds the claims with a concurrency key to the batch.
func queuePermitClaims(batch *pgx.Batch, g *requestsByKind) {
	if len(g.permitRows) == 0 {
		return
	}
	keys := make([]string, len(g.permitRows))
	for i, row := range g.permitRows {
		keys[i] = row.key
	}
	batch.Queue(dropPermitsSQL, keys)
	args := permitColumns.args(g.permitRows, claimable, reservedFor, int(permitWaitMax/permitPace), g.claimant())
	batch.Queue(claimPermitsSQL, args...).Query(func(rows pgx.Rows) error {
		var request, waiting int
		var step int64
		var permitted bool
		_, err := pgx.ForEachRow(rows, []any{&request, &step, &permitted, &waiting}, func() error {
			if request < 0 {
				g.noteClaimantDead()
				return nil
			}
			r := g.claims[request]
			if permitted {
				r.claimed = append(r.claimed, step)
				return nil
			}
			if r.waiting == nil {
				r.waiting = map[int64]int{}
			}
			r.waiting[step] = waiting
			return nil
		})
		return err
	})
}

// permitFreed wakes the steps that wait for the permit of s, if s had one. This only
// saves time: a waiting step also asks again by itself.
func (e *Engine) permitFreed(ctx context.Context, s *stepRun) {
	if s.template.ConcurrencyKey == "" {
		return
	}
	ctx, cancel := outliving(ctx, e.stopTimeout)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, e.stopTimeout)
	defer stop()
	err := e.group.commit(&permitRequest{requestBase: requestBase{ctx: ctx}, key: s.template.ConcurrencyKey, at: e.now()})
	if err != nil {
		e.cfg.Logger.Warn("the steps that wait for a permit could not be woken; they ask again by themselves",
			"concurrency_key", s.template.ConcurrencyKey, "error", errors.UnwrapAll(err))
	}
}

// waitForPermit lets a step that got no permit wait until then.
func (s *stepRun) waitForPermit(until time.Time) {
	if !s.waitsForPermit {
		s.waitsForPermit, s.dueBeforeWait = true, s.dueAt
	}
	s.dueAt = until
}

// endPermitWait undoes waitForPermit.
func (s *stepRun) endPermitWait() {
	if s.waitsForPermit {
		s.waitsForPermit, s.dueAt = false, s.dueBeforeWait
	}
}
