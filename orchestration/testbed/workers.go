package testbed

import (
	"context"
	"slices"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// seat is the place of an engine. Each has one engine at a time, which is made when it is
// needed first, and after it was dropped.
type seat struct {
	serial bool
	number int
}

// maxWorkers is how many engines can work on one task at once.
const maxWorkers = 2

// instance returns the engine of a seat that is alive.
func (b *Bed) instance(ctx context.Context, s seat) (*instance, error) {
	b.seating.Lock()
	defer b.seating.Unlock()
	old := b.seats[s]
	if old != nil && !old.dropped() {
		return old, nil
	}
	if old != nil {
		old.drop() // returns when the crash is over
	}
	i, err := b.start(ctx, s)
	if err != nil {
		return nil, err
	}
	b.seats[s] = i
	b.all = append(b.all, i)
	return i, nil
}

// remove forgets an engine that is about to be closed.
func (b *Bed) remove(i *instance) {
	b.seating.Lock()
	defer b.seating.Unlock()
	b.all = slices.DeleteFunc(b.all, func(other *instance) bool { return other == i })
}

// Engine returns the engine, for what Bed does not offer. After a crash it is another one.
// All calls must return before Close.
func (b *Bed) Engine(ctx context.Context) (*orchestration.Engine, error) {
	i, err := b.instance(ctx, seat{})
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lent = true
	return i.engine, nil
}

// work runs a task until it has ended.
func (b *Bed) work(ctx context.Context, task int64, o RunOptions) error {
	if o.Workers <= 1 {
		return b.workIn(ctx, seat{serial: o.Serial}, task)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for number := range o.Workers {
		go func() { ended <- b.workIn(ctx, seat{number: number}, task) }()
	}
	var first error
	for range o.Workers {
		if err := <-ended; err != nil && first == nil {
			first = errors.Wrap(err, "one of the engines")
			cancel()
		}
	}
	return first
}

// workIn runs a task with the engines of one seat.
func (b *Bed) workIn(ctx context.Context, s seat, task int64) error {
	defer b.clock.begin(&b.clock.runs)()
	for {
		i, err := b.instance(ctx, s)
		if err != nil {
			return err
		}
		if err := i.finish(ctx, task); !i.dropped() {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// finish runs a task until it has ended, or the engine is dropped.
func (i *instance) finish(ctx context.Context, task int64) error {
	defer i.use()()
	working, cancel := context.WithCancelCause(i.ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	_, err := i.engine.Run(working, task)
	return err
}

// Work works as [orchestration.Engine.Work] does, until ctx ends. After a crash it goes on
// with the next engine. It skips waits.
func (b *Bed) Work(ctx context.Context, config orchestration.WorkerConfig) error {
	for {
		i, err := b.instance(ctx, seat{})
		if err != nil {
			return err
		}
		if err := i.work(ctx, config); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// work works until ctx ends, or the engine is dropped.
func (i *instance) work(ctx context.Context, config orchestration.WorkerConfig) error {
	defer i.use()()
	working, end := context.WithCancelCause(i.ctx)
	defer end(nil)
	defer context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })()
	return i.engine.Work(working, config)
}
