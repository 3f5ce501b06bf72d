package orchestration

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// A worker prunes in the background, if it has a WorkerConfig.Keep, or if a template says
// how long its tasks are kept. Of the workers of a database one does at a time.

const (
	// pruneEvery is how many rounds, one each Poll, are between two passes of a worker:
	// with the default, twenty minutes.
	pruneEvery = 240
	// pruneFirst is how many rounds come before the first one: a worker may not live long.
	pruneFirst = 12
	// pruneShare is the part of the time that a worker's pass takes. The rest are pauses.
	pruneShare = 0.1
	// pruningLease is how long a worker that is gone keeps the others from pruning. It is
	// above the longest pause.
	pruningLease = 30 * time.Second
)

// takePruningSQL makes this engine ($1) the one that prunes, or keeps it so, until $2 from
// now. It returns nothing if another one is.
const takePruningSQL = `
	insert into tasker.pruning (number, until) values ($1, clock_timestamp() + $2::interval)
	on conflict (only_row) do update set number = excluded.number, until = excluded.until
	where pruning.number = excluded.number or pruning.until < clock_timestamp()
	returning 1`

const endPruningSQL = `delete from tasker.pruning where number = $1`

// prune prunes at each signal, until ctx ends.
func (m *maintenance) prune(ctx context.Context, keep time.Duration, due <-chan struct{}) {
	for {
		select {
		case <-due:
		case <-ctx.Done():
			return
		}
		done, err := m.prunePass(ctx, keep)
		switch {
		case err != nil && ctx.Err() == nil:
			m.engine.cfg.Logger.Warn("could not prune ended tasks; trying again later", "error", err)
		case done.Tasks > 0:
			m.engine.cfg.Logger.Info("pruned ended tasks", "tasks", done.Tasks)
		}
	}
}

func (m *maintenance) prunePass(ctx context.Context, keep time.Duration) (Pruned, error) {
	e := m.engine
	number, _ := e.session.current()
	if number == 0 {
		return Pruned{}, nil
	}
	p := &pruning{engine: e, states: prunedStates, share: pruneShare,
		age: func(says templates.Keep) (time.Duration, bool) {
			switch {
			case says.Forever:
				return 0, false
			case says.For > 0:
				return says.For, true
			}
			return keep, keep > 0
		}}
	took := false
	p.before = func() (mine bool, err error) {
		var batch pgx.Batch
		batch.Queue(takePruningSQL, number, pruningLease).Query(func(rows pgx.Rows) error {
			mine = rows.Next()
			return rows.Err()
		})
		err = e.own.short(ctx, &batch)
		took = took || mine
		return mine, err
	}
	err := p.run(ctx, PruneOptions{})
	if took {
		var batch pgx.Batch
		batch.Queue(endPruningSQL, number)
		_ = e.own.short(context.WithoutCancel(ctx), &batch) // otherwise the lease ends by itself
	}
	return p.done, err
}
