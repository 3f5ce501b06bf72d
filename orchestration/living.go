package orchestration

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// livingSQL selects the numbers of living engines. Each condition finds other deaths:
// the row, an engine that another one has declared dead; the heartbeat, one that is
// frozen or whose host is lost; the lock, one whose process was killed. The lock also
// finds a server that has lost commits: no lock outlives a crash or a failover.
var livingSQL = fmt.Sprintf(`
	select w.number from tasker.workers w
	where w.heartbeat_at > clock_timestamp() - interval '%d ms' and exists (
		select from pg_locks l
		where l.locktype = 'advisory' and l.objsubid = 1 and l.granted and l.mode = 'ExclusiveLock'
		and l.database = (select oid from pg_database where datname = current_database())
		and l.classid::bigint << 32 | l.objid::bigint = w.number)`, deadAfter.Milliseconds())

// livesSQL is a condition that is true if the engine with that number lives. It is the
// cheap form for one number: a lock that can be taken is not held. It is stricter than
// livingSQL in nothing, and leaves the heartbeat out, which only others look at.
func livesSQL(number string) string {
	return `(select exists (select from tasker.workers where number = ` + number + `) and not pg_try_advisory_xact_lock_shared(` + number + `))`
}

// The statements that declare engines dead.
var (
	// deadSQL deletes the rows of engines that do not live. It returns what is needed to
	// end their backends. It notes their crashes if the caller's own session has had no
	// trouble ($1), and if they had not been told to stop, and the server runs since their last heartbeat: a server that has
	// restarted makes every engine look dead.
	deadSQL = `
	with d as (
		delete from tasker.workers w where w.number in (
			select number from tasker.workers where number not in (` + livingSQL + `)
			order by number for update skip locked)
		returning w.*),
	c as (
		insert into tasker.crashes (number, host, pid, at)
		select number, host, pid, clock_timestamp() from d where $1 and not draining and heartbeat_at > pg_postmaster_start_time()
		on conflict do nothing),
	o as (delete from tasker.crashes where at < clock_timestamp() - interval '1 day' and exists (select from d))
	select number, host, pid, backend_pid, backend_start, application_name from d`

	// endBackendsSQL ends the backends of dead engines that this role may end. Only a
	// superuser may end a superuser's. A process that lives on under another number
	// ends its transactions itself. A backend that has not the session's lock any more was
	// given to someone else by a pooler. Its parameters: $1 application names,
	// $2 backends of sessions, $3 their starts, $4 the engines' numbers.
	endBackendsSQL = `
	select count(*) filter (where case when a.allowed then pg_terminate_backend(a.pid) end), count(*) filter (where not a.allowed)
	from (
		select a.pid, (select rolsuper from pg_roles where rolname = current_user) or
			not (select rolsuper from pg_roles where oid = a.usesysid) and
			(pg_has_role(a.usesysid, 'USAGE') or pg_has_role('pg_signal_backend', 'USAGE')) as allowed
		from pg_stat_activity a
		where a.datname = current_database() and a.pid <> pg_backend_pid() and (
			a.application_name = any($1) and not exists (
				select from tasker.workers w where w.application_name = a.application_name) or
			exists (
				select from unnest($2::int[], $3::timestamptz[], $4::bigint[]) s (pid, start, number) join pg_locks l using (pid)
				where pid = a.pid and s.start = a.backend_start and l.locktype = 'advisory' and l.classid::bigint << 32 | l.objid::bigint = s.number))
	) a`
)

// freeDeadSQL frees the tasks of dead engines ($1), and wakes the workers. A task that
// another transaction has locked is left to a worker's next round.
const freeDeadSQL = `
	with u as (
		update tasker.queue set held_by = null, due_at = ` + atOnceSQL + `
		where task_id in (
			select task_id from tasker.queue where begun and held_by = any($1)
			order by task_id for no key update skip locked)
		returning task_id)
	select pg_notify('` + channelWake + `', '') where exists (select from u)`

// backend is a process of the server. A number of a process can come again.
type backend struct {
	pid   int32
	start time.Time
}

// deadEngine is a row of an engine that was declared dead.
type deadEngine struct {
	number          int64
	host            string
	pid             int
	backend         backend
	applicationName string
	looks           int // how often its remains were ended and its tasks freed
}

// queueDead adds deadSQL to the batch.
func (e *Engine) queueDead(batch *pgx.Batch, dead *[]deadEngine) {
	batch.Queue(deadSQL, e.session.steady()).Query(func(rows pgx.Rows) (err error) {
		*dead, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d deadEngine, err error) {
			return d, row.Scan(&d.number, &d.host, &d.pid, &d.backend.pid, &d.backend.start, &d.applicationName)
		})
		return err
	})
}

// living returns which of the numbers belong to living engines, and which to engines that
// have crashed. The rows of others than living ones are deleted, and their backends ended:
// a frozen process or a lost host would keep its row locks.
func (e *Engine) living(ctx context.Context, numbers []int64) (living, crashed []int64, err error) {
	var dead []deadEngine
	var batch pgx.Batch
	e.queueDead(&batch, &dead)
	batch.Queue(`select number from (`+livingSQL+`) w where number = any($1)`, numbers).Query(func(rows pgx.Rows) (err error) {
		living, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	batch.Queue(`select number from tasker.crashes where number = any($1)`, numbers).Query(func(rows pgx.Rows) (err error) {
		crashed, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err := e.own.short(ctx, &batch); err != nil {
		return nil, nil, errors.Wrap(err, "looking for dead engines")
	}
	e.endBackends(ctx, dead, e.own.short)
	return living, crashed, nil
}

// endDead declares engines dead that seem to be, and ends their backends, on the connection
// of this engine's session. The pool may have no connection left for it: all may wait for
// the locks of the dead.
func (e *Engine) endDead(ctx context.Context, conn *pgx.Conn, seemDead bool) {
	send := func(ctx context.Context, batch *pgx.Batch) error {
		ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
		defer cancel()
		return conn.SendBatch(ctx, batch).Close()
	}
	var dead []deadEngine
	if seemDead {
		var batch pgx.Batch
		e.queueDead(&batch, &dead)
		if err := send(ctx, &batch); err != nil {
			return // if it was the connection, the next heartbeat says so
		}
	}
	e.endBackends(ctx, dead, send)
}

// endBackends ends what dead engines have left on the server, and frees their tasks.
// Nobody else does: their rows are gone. So if it fails, the next call does it too. It is
// also done again after it has succeeded: a backend that ends may have locked a task.
func (e *Engine) endBackends(ctx context.Context, dead []deadEngine, send func(context.Context, *pgx.Batch) error) {
	dead = append(dead, e.unended.take()...)
	if len(dead) == 0 {
		return
	}
	var names []string
	var pids []int32
	var starts []time.Time
	var numbers []int64
	for _, d := range dead {
		if d.looks == 0 {
			e.cfg.Logger.Warn("an engine is dead; its steps are taken over", "engine", d.number, "host", d.host, "pid", d.pid)
		}
		if d.applicationName != "" {
			names = append(names, d.applicationName)
		}
		pids, starts, numbers = append(pids, d.backend.pid), append(starts, d.backend.start), append(numbers, d.number)
	}
	var ended, refused int
	var batch pgx.Batch
	batch.Queue(endBackendsSQL, nonNil(names), pids, starts, numbers).QueryRow(func(row pgx.Row) error { return row.Scan(&ended, &refused) })
	batch.Queue(freeDeadSQL, numbers)
	err := send(ctx, &batch)
	if err != nil {
		if ctx.Err() == nil { // else this engine is closing
			e.cfg.Logger.Warn("the connections of a dead engine could not be ended; trying again", "error", err)
		}
		for i := range dead {
			dead[i].looks = 1
		}
		e.unended.put(dead)
		return
	}
	e.unended.put(again(dead))
	if refused > 0 && dead[0].looks == 0 {
		e.cfg.Logger.Warn("this role may not end the connections of a dead engine; they keep their row locks until the server notices",
			"connections", refused, "hint", "Let all workers use the same role, or grant it pg_signal_backend.")
	}
}

// looksAtDead is how often the remains of a dead engine are looked for.
const looksAtDead = 4

// again are the dead engines to look at once more.
func again(dead []deadEngine) (left []deadEngine) {
	for _, d := range dead {
		if d.looks++; d.looks < looksAtDead {
			left = append(left, d)
		}
	}
	return left
}

// unended are dead engines whose backends could not be ended yet, or are looked for again.
type unended struct {
	mu   sync.Mutex
	dead []deadEngine
}

func (u *unended) put(dead []deadEngine) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dead = append(u.dead, dead...)
}

func (u *unended) take() []deadEngine {
	u.mu.Lock()
	defer u.mu.Unlock()
	dead := u.dead
	u.dead = nil
	return dead
}
