package orchestration

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// PruneOptions say which ended tasks [Engine.Prune] deletes.
type PruneOptions struct {
	// OlderThan is the least time since the end of a task. It is required. A template that
	// keeps its tasks longer (keep: 90d, keep: forever) wins.
	OlderThan time.Duration
	// States limits the states. Default: complete, cancelled and resolved_manually. No
	// others are allowed.
	States                   []TaskState
	Namespace, Name, Version string // limit the templates; "" means all

	// DryRun counts, for some seconds at most, and deletes nothing.
	DryRun bool
	// OnBatch is called after each batch, with the number of tasks so far. Optional.
	OnBatch func(tasks int)
}

// Pruned says what [Engine.Prune] did.
type Pruned struct {
	Tasks int
	// AtLeast says that the count of a dry run was ended before it had seen all tasks.
	AtLeast bool
}

// prunedStates are the states of tasks that nothing can change any more.
var prunedStates = []TaskState{TaskComplete, TaskCancelled, TaskResolvedManually}

// Prune deletes ended tasks, with everything that belongs to them. Tasks in error stay. An
// identity key stays known: a submission with it still finds the task's number.
//
// It deletes some hundred tasks in a transaction, and pauses between two. A pause is as long
// as a transaction took, and much longer while workers have tasks in hand. When ctx ends, it
// stops after the present transaction, and returns ctx's error and what it deleted.
func (e *Engine) Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	if o.OlderThan <= 0 {
		return Pruned{}, errors.WithHint(errors.Newf("PruneOptions.OlderThan is %v", o.OlderThan), "It must be more than 0.")
	}
	for _, s := range o.States {
		if !slices.Contains(prunedStates, s) {
			return Pruned{}, errors.WithHint(errors.Newf("tasks in state %q cannot be pruned", s),
				"Only complete, cancelled and resolved_manually can be: nothing happens to such a task any more. Cancel or resolve tasks in error first.")
		}
	}
	if len(o.States) == 0 {
		o.States = prunedStates
	}
	p := &pruning{engine: e, states: o.States, share: 0.5, dryRun: o.DryRun, onBatch: o.OnBatch,
		age: func(keep templates.Keep) (time.Duration, bool) {
			return max(o.OlderThan, keep.For), !keep.Forever
		}}
	err := p.run(ctx, o)
	return p.done, err
}

// pruning is one pass over the tasks of all templates.
type pruning struct {
	engine *Engine
	states []TaskState
	// age is how old an ended task of a template must be, by what the template says. It is
	// false if its tasks are kept.
	age func(templates.Keep) (time.Duration, bool)
	// share is the part of the time in which statements run, while no tasks do. The rest are
	// pauses.
	share   float64
	dryRun  bool
	onBatch func(int)            // may be nil
	before  func() (bool, error) // says whether to go on with the next batch; may be nil

	done  Pruned
	until time.Time // when a dry run ends
}

// dryRunTime is how long a dry run may count.
const dryRunTime = 5 * time.Second

// prunedTemplate is a template whose tasks are pruned.
type prunedTemplate struct {
	digest string
	cutoff time.Time // of ended_at
}

func (p *pruning) run(ctx context.Context, o PruneOptions) error {
	list, err := p.templates(ctx, o)
	if err != nil {
		return errors.Wrap(err, "reading the templates")
	}
	p.until = time.Now().Add(dryRunTime)
	for _, t := range list {
		if more, err := p.template(ctx, t); err != nil || !more {
			return errors.Wrap(err, "pruning tasks")
		}
	}
	return nil
}

// prunedTemplatesSQL reads what templates say with keep:. Parameters: $1 namespace,
// $2 name, $3 version, each "" for any.
const prunedTemplatesSQL = `
	select digest, coalesce(document ->> 'keep', '') from tasker.templates
	where ($1 = '' or namespace = $1) and ($2 = '' or name = $2) and ($3 = '' or version = $3) order by digest`

func (p *pruning) templates(ctx context.Context, o PruneOptions) (list []prunedTemplate, err error) {
	now := p.engine.now()
	var batch pgx.Batch
	batch.Queue(prunedTemplatesSQL, o.Namespace, o.Name, o.Version).Query(func(rows pgx.Rows) error {
		var digest, text string
		_, err := pgx.ForEachRow(rows, []any{&digest, &text}, func() error {
			keep := templates.Keep{}
			if text != "" {
				var err error
				if keep, err = templates.ParseKeep(text); err != nil { // of a later version of this program
					keep = templates.Keep{Forever: true}
				}
			}
			if age, prune := p.age(keep); prune {
				list = append(list, prunedTemplate{digest: digest, cutoff: now.Add(-age)})
			}
			return nil
		})
		return err
	})
	return list, p.engine.own.send(ctx, &batch)
}

// template prunes the tasks of a template, batch by batch, the oldest first. It returns
// false if the pass is over before its end.
func (p *pruning) template(ctx context.Context, t prunedTemplate) (more bool, err error) {
	last := int64(0)
	for {
		if p.before != nil {
			if more, err := p.before(); err != nil || !more {
				return false, err
			}
		}
		began := time.Now()
		b, err := p.batch(ctx, t, last)
		if err != nil {
			return false, err
		}
		p.done.Tasks += b.tasks
		if p.onBatch != nil {
			p.onBatch(p.done.Tasks)
		}
		if b.last == 0 || !b.oldest.Before(t.cutoff) { // no task ends before it is submitted
			return true, ctx.Err()
		}
		last = b.last
		if p.dryRun && time.Now().After(p.until) {
			p.done.AtLeast = true
			return false, nil
		}
		if err := p.pause(ctx, time.Since(began), b.beside); err != nil {
			return false, err
		}
	}
}

// longestPause is below pruningLease.
const longestPause = 10 * time.Second

// shareBeside is the share while workers have tasks in hand.
const shareBeside = 0.04

// pause lets others work after a batch that took so long.
func (p *pruning) pause(ctx context.Context, took time.Duration, beside bool) error {
	if p.dryRun {
		return ctx.Err()
	}
	share := p.share
	if beside {
		share = min(share, shareBeside)
	}
	timer := time.NewTimer(min(longestPause, time.Duration(float64(took)*(1-share)/share)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// prunedBatch says what a batch did.
type prunedBatch struct {
	last   int64     // the number of the last task that was looked at; 0 if none is left
	oldest time.Time // when the oldest was submitted
	tasks  int       // how many were deleted or counted
	beside bool      // workers have tasks in hand
}

// scan reads the row of a statement that looks at up to most tasks.
func (b *prunedBatch) scan(most int) func(pgx.Row) error {
	return func(row pgx.Row) error {
		var read int
		var last *int64
		var oldest *time.Time
		err := row.Scan(&read, &last, &oldest, &b.tasks, &b.beside)
		if read == most {
			b.last, b.oldest = *last, *oldest
		}
		return err
	}
}

// batchTimeout is below pruningLease.
const batchTimeout = 15 * time.Second

// batch is one transaction. It is not cut short when ctx ends: then nobody would know what
// it did.
func (p *pruning) batch(ctx context.Context, t prunedTemplate, after int64) (b prunedBatch, err error) {
	if err := ctx.Err(); err != nil {
		return b, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
	defer cancel()
	states := texts(p.states)
	if p.dryRun {
		var batch pgx.Batch
		batch.Queue(countPrunedSQL, t.digest, after, states, t.cutoff).QueryRow(b.scan(countBatch))
		return b, p.engine.own.sendOften(ctx, &batch)
	}
	err = p.engine.inOwnTx(ctx, func(tx pgx.Tx) error {
		var batch pgx.Batch
		batch.Queue(plannedOnceSQL)
		batch.Queue(lazyCommitSQL)
		batch.Queue(pruneSQL, t.digest, after, states, t.cutoff, p.engine.now()).QueryRow(b.scan(pruneBatch))
		return tx.SendBatch(ctx, &batch).Close()
	})
	return b, err
}
