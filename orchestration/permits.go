package orchestration

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// Steps of templates that have a concurrency_key take a slot of that key with
// their claim. What is here is sent only for such steps, in the round trip of
// the claim itself; migration 003 says what the rows mean.

// slotSpace is the first half of the keys' advisory locks: "slot" in ASCII.
const slotSpace = 0x736c6f74

// reserved is how long a slot is left to the step that was woken for it.
const reserved = 2 * time.Second

// A step that got no slot asks again by itself after a while, in case the one
// who would wake it is gone: the later the more others wait, so that all of
// them together ask no more often than once in slotPace.
const (
	slotPace    = 50 * time.Millisecond
	slotWaitMin = time.Second
	slotWaitMax = 30 * time.Second
)

// slotWait is how long a step waits of a key that so many steps wait for.
func permitWait(waiting int) time.Duration {
	return min(max(time.Duration(waiting)*slotPace, slotWaitMin), slotWaitMax)
}

// lockKeysSQL makes those who count and take slots of a key go one after
// another. It is a statement of its own, because a statement sees what was
// committed before it began, and not what was while it waited.
const lockKeysSQL = `
	select pg_advisory_xact_lock($1, h) from (select distinct hashtext(k) as h from unnest($2::text[]) k order by 1) x`

// dropSlotsSQL deletes the rows of claims that are over, and the oldest of those
// who waited and do not any more.
const dropSlotsSQL = `
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

// wakeSlotsSQL wakes, for each slot that is free, the step that has waited
// longest. Its task goes before those that nobody has looked at yet; its
// revision counts up, so that a worker which is about to let go of the task
// does not overlook it.
const wakeSlotsSQL = `
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
	k as (
		update tasker.tasks k set revision = k.revision + 1, wake_at = ` + atOnceSQL + `
		from (select distinct task_id from d) d where k.task_id = d.task_id
		returning k.task_id)
	select pg_notify('` + channelTask + `', task_id::text), pg_notify('` + channelWake + `', '') from k`

// claimSlotsSQL is claimSQL for steps with a key. It also returns those that
// found no slot, with how many wait for their key; those wait in tasker.slots.
const claimSlotsSQL = `
	with i as (
		select * from unnest($1::int[], $2::bigint[], $3::bigint[], $4::int[], $5::timestamptz[], $7::text[], $8::int[])
			as i (request, step_id, claimant, attempts, at, key, capacity)),
	o as (
		select i.*, s.state as was
		from i join tasker.steps s on s.step_id = i.step_id and s.attempts = i.attempts
		join tasker.tasks k on k.task_id = s.task_id
		where s.state = any($6) and k.state = 'in_progress'
		order by s.step_id for no key update of s),
	r as (
		select o.*, o.capacity
			- (select count(*) from tasker.slots h where h.key = o.key and h.claimant is not null)
			- (select count(*) from tasker.slots h where h.key = o.key and h.claimant is null
				and h.woken_at > o.at - $9::interval and h.since < coalesce(m.since, o.at) and h.step_id not in (select step_id from o))
			- row_number() over (partition by o.key order by coalesce(m.since, o.at), o.step_id) >= 0 as has_slot
		from o left join tasker.slots m on m.step_id = o.step_id),
	u as (
		update tasker.steps s
		set state = 'in_progress', attempts = s.attempts + 1, claimed_by = r.claimant, last_attempted_at = r.at, next_attempt_at = null
		from r where r.has_slot and s.step_id = r.step_id
		returning s.step_id, s.attempts, r.was, r.claimant, r.at),
	w as (
		insert into tasker.step_transitions (step_id, from_state, to_state, attempt, reason, at, actor)
		select step_id, was, 'in_progress', attempts, 'claimed', at, 'engine ' || claimant from u),
	h as (
		insert into tasker.slots (step_id, key, capacity, claimant, attempt, since)
		select step_id, key, capacity, case when has_slot then claimant end, case when has_slot then attempts + 1 end, at from r
		on conflict (step_id) do update set key = excluded.key, capacity = excluded.capacity,
			claimant = excluded.claimant, attempt = excluded.attempt, woken_at = null)
	select request, step_id, has_slot, case when has_slot then 0 else (
		select count(*) from (select from tasker.slots h where h.key = r.key and h.claimant is null limit $10) x) end
	from r`

// lockKeys puts the locks on all keys of the group into the batch, before
// anything that locks rows.
func lockKeys(batch *pgx.Batch, group []*statement) {
	var keys []string
	for _, s := range group {
		keys = append(keys, s.freed...)
		for _, c := range s.claims {
			if c.key != "" {
				keys = append(keys, c.key)
			}
		}
	}
	if len(keys) == 0 {
		return
	}
	slices.Sort(keys)
	batch.Queue(lockKeysSQL, slotSpace, slices.Compact(keys))
}

// queueFreed puts the waking of those who wait into the batch.
func queueFreed(batch *pgx.Batch, group []*statement) {
	var keys []string
	var at time.Time
	for _, s := range group {
		if len(s.freed) > 0 {
			keys, at = append(keys, s.freed...), s.at
		}
	}
	if len(keys) == 0 {
		return
	}
	batch.Queue(dropSlotsSQL, keys)
	batch.Queue(wakeSlotsSQL, keys, at)
}

// queueSlotClaims puts the claims with a key into the batch.
func queueSlotClaims(batch *pgx.Batch, group []*statement) {
	var c claimColumns
	var keys []string
	var capacities []int32
	for i, s := range group {
		s.waiting = nil
		for _, row := range s.claims {
			if row.key != "" {
				c.add(i, row)
				keys, capacities = append(keys, row.key), append(capacities, row.capacity)
			}
		}
	}
	if len(keys) == 0 {
		return
	}
	batch.Queue(dropSlotsSQL, keys)
	batch.Queue(claimSlotsSQL, c.requests, c.steps, c.claimants, c.numbers, c.at, claimable, keys, capacities,
		reserved, int(slotWaitMax/slotPace)).Query(func(rows pgx.Rows) error {
		var request, waiting int
		var step int64
		var taken bool
		_, err := pgx.ForEachRow(rows, []any{&request, &step, &taken, &waiting}, func() error {
			s := group[request]
			if taken {
				s.taken = append(s.taken, step)
				return nil
			}
			if s.waiting == nil {
				s.waiting = map[int64]int{}
			}
			s.waiting[step] = waiting
			return nil
		})
		return err
	})
}

// slotFreed wakes those who wait for a slot of the step's key, if it has one.
// It is a matter of speed: who waits asks again by itself.
func (e *Engine) permitFreed(ctx context.Context, s *stepRun) {
	if s.template.ConcurrencyKey == "" {
		return
	}
	ctx, cancel := recordingContext(ctx, e.recordTimeout)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, e.recordTimeout)
	defer stop()
	err := e.group.commit(&statement{ctx: ctx, freed: []string{s.template.ConcurrencyKey}, at: e.now()})
	if err != nil {
		e.cfg.Logger.Warn("those who wait for a slot could not be woken; they ask again by themselves",
			"concurrency_key", s.template.ConcurrencyKey, "error", errors.UnwrapAll(err))
	}
}

// waitForPermit makes a step that got no permit wait until then.
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
