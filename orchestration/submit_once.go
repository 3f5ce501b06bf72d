package orchestration

import (
	"context"
	"slices"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// A submission with an identity key is written once, also after its task was pruned: the
// key is then in tasker.tombstones. Before the insert, one look is enough if the prune has
// committed. Otherwise the insert waits for the prune, and then succeeds, because the task
// is gone; its snapshot is older than the tombstone. So a second statement, which has a
// snapshot of its own, looks again, and what was inserted is removed.
//
// In a caller's transaction with one snapshot for all of its statements, the second look
// still sees the old task. If it does not see even that, both were written after the
// snapshot. Only an insert finds such a tombstone: it fails with a serialization failure.

// notPrunedSQL is a condition on an identity key, which may be empty. It is a scalar
// select, which PostgreSQL cannot turn into a scan of all tombstones.
func notPrunedSQL(key string) string {
	return `(` + key + ` = '' or (select b.task_id from tasker.tombstones b where b.identity_key = ` + key + `) is null)`
}

// ofIdentitiesSQL returns the tasks of identity keys ($1), also the pruned ones, and
// whether the transaction has one snapshot for all of its statements.
const ofIdentitiesSQL = `
	select key, task_id, current_setting('transaction_isolation') in ('repeatable read', 'serializable')
	from (
		select identity as key, task_id from tasker.tasks where identity = any($1)
		union all
		select identity_key, task_id from tasker.tombstones where identity_key = any($1)) t`

const (
	takeBackSQL = `delete from tasker.tasks where task_id = any($1)`
	// probeKeysSQL fails if another transaction has written a tombstone of one of the keys
	// ($1) that this transaction does not see. dropProbesSQL removes what it writes.
	probeKeysSQL = `
	insert into tasker.tombstones (identity_key, task_id, state, ended_at, pruned_at)
	select key, 0, '', 'epoch', 'epoch' from unnest($1::text[]) key on conflict do nothing`
	dropProbesSQL = `delete from tasker.tombstones where identity_key = any($1) and task_id = 0`
)

// identities are the tasks of identity keys, as a statement after the insert sees them.
type identities struct {
	tasks       map[string][]int64
	oneSnapshot bool
}

// queue adds the statement that reads the tasks of the keys.
func (f *identities) queue(batch *pgx.Batch, keys []string) {
	f.tasks = make(map[string][]int64, len(keys))
	batch.Queue(ofIdentitiesSQL, keys).Query(func(rows pgx.Rows) error {
		var key string
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&key, &id, &f.oneSnapshot}, func() error {
			f.tasks[key] = append(f.tasks[key], id)
			return nil
		})
		return err
	})
}

// settle removes the tasks that were written although their identity existed, also from
// written. It returns the tasks of all keys that existed.
func (f *identities) settle(ctx context.Context, tx pgx.Tx, written map[int64]bool) (map[string]int64, error) {
	existing := make(map[string]int64, len(f.tasks))
	var tooMany []int64
	var fresh []string
	for key, tasks := range f.tasks {
		mine := slices.IndexFunc(tasks, func(id int64) bool { return written[id] })
		switch {
		case mine < 0:
			existing[key] = tasks[0]
		case len(tasks) == 1:
			existing[key] = tasks[0] // for a second submission with the key in the same call
			fresh = append(fresh, key)
		default:
			existing[key] = tasks[slices.IndexFunc(tasks, func(id int64) bool { return !written[id] })]
			tooMany = append(tooMany, tasks[mine])
			delete(written, tasks[mine])
		}
	}
	var batch pgx.Batch
	if len(tooMany) > 0 {
		batch.Queue(takeBackSQL, tooMany)
	}
	if f.oneSnapshot && len(fresh) > 0 {
		batch.Queue(probeKeysSQL, fresh)
		batch.Queue(dropProbesSQL, fresh)
	}
	if batch.Len() == 0 {
		return existing, nil
	}
	return existing, tx.SendBatch(ctx, &batch).Close()
}

// keysOf returns the identity keys of the rows, each once.
func keysOf(rows []taskRow) (keys []string) {
	for _, r := range rows {
		if r.of.IdentityKey != "" {
			keys = append(keys, r.of.IdentityKey)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// insertOnce writes a task with an identity key, unless its identity exists.
func insertOnce(ctx context.Context, tx pgx.Tx, key string, args []any) (Submitted, error) {
	written := map[int64]bool{}
	var found identities
	var batch pgx.Batch
	batch.Queue(insertTaskSQL, args...).Query(func(rows pgx.Rows) error {
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error { written[id] = true; return nil })
		return err
	})
	found.queue(&batch, []string{key})
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return Submitted{}, errors.Wrap(err, "submitting the task")
	}
	existing, err := found.settle(ctx, tx, written)
	if err != nil {
		return Submitted{}, errors.Wrap(err, "submitting the task")
	}
	id, exists := existing[key]
	if !exists {
		return Submitted{}, errTaskRemoved
	}
	return Submitted{TaskID: id, Existed: !written[id]}, nil
}
