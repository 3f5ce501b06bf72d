package testbed

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// RunOptions say how to run a task. The zero value runs it as production does.
type RunOptions struct {
	// Stubs are the results of steps, as JSON, by the steps' names. Their handlers are not
	// called, and their classes need not exist.
	Stubs map[string]json.RawMessage
	// Workers is how many engines work on the task at once: 1 or 2. Default 1.
	Workers int
	// Serial runs one step at a time, in the template's order.
	Serial bool
	// Submitted is called when the task has been submitted, and before anything works on it.
	// Optional.
	Submitted func(ctx context.Context, taskID int64) error
	// Crash drops the engine at a moment of the run. The attempt that it meets meets no
	// other fault.
	Crash *Point
}

// Run is what [Bed.Run] returns of a task that has ended.
type Run struct {
	Task       *orchestration.TaskDetail
	Trace      []Entry
	Statements map[string][]Statement // of each step, in order
	Events     []orchestration.Event  // of all engines
	Reached    bool                   // RunOptions.Crash has taken place
}

// run is one under way.
type run struct {
	recorder
	task    int64
	options RunOptions
	stubbed map[string]bool // classes of stubbed steps

	mu      sync.Mutex
	crash   *Fault // RunOptions.Crash
	reached bool
}

// Run submits a task and runs it until it has ended, whatever happens to its engines. It
// skips waits. Several tasks may run at the same time; then the clock goes on when all of
// them wait.
//
// The error says why the task could not be run: its context does not fit the template, an
// option or a fault makes no sense, or ctx has ended. A task that ends in error is no error
// of Run.
func (b *Bed) Run(ctx context.Context, s orchestration.Submission, o RunOptions) (*Run, error) {
	r, err := b.prepare(s.Template, o)
	if err != nil {
		return nil, err
	}
	if r.task, err = b.submit(ctx, s); err != nil {
		return nil, err
	}
	if o.Submitted != nil {
		if err := o.Submitted(ctx, r.task); err != nil {
			return nil, err
		}
	}
	b.register(r)
	defer b.unregister(r)
	if err := b.work(ctx, r.task, r.options); err != nil {
		return nil, err
	}
	detail, err := orchestration.ReadTask(ctx, b.own, r.task)
	if err != nil {
		return nil, err
	}
	return r.result(detail), nil
}

// prepare checks the options.
func (b *Bed) prepare(t *templates.Template, o RunOptions) (*run, error) {
	if t == nil {
		return nil, errors.New("testbed: the submission has no template")
	}
	r := &run{options: o, stubbed: map[string]bool{}}
	for name := range o.Stubs {
		step := t.Step(name)
		if step == nil {
			return nil, errors.Newf("testbed: the template %s has no step %q to stub", t.ID(), name)
		}
		r.stubbed[step.HandlerClass] = true
	}
	switch {
	case o.Workers < 0 || o.Workers > maxWorkers:
		return nil, errors.Newf("testbed: a task cannot be run by %d engines at once; at most %d can", o.Workers, maxWorkers)
	case o.Workers > 1 && o.Serial:
		return nil, errors.New("testbed: a serial run has one engine")
	}
	if p := o.Crash; p != nil {
		f, err := p.fault()
		if err != nil {
			return nil, err
		}
		r.crash = &f
	}
	return r, b.faults.fit(t)
}

// submit submits the task in a transaction that no crash can meet.
func (b *Bed) submit(ctx context.Context, s orchestration.Submission) (int64, error) {
	i, err := b.instance(ctx, seat{})
	if err != nil {
		return 0, err
	}
	var task orchestration.Submitted
	s.NoWake = true
	err = pgx.BeginFunc(ctx, b.own, func(tx pgx.Tx) (err error) {
		task, err = i.engine.SubmitTx(ctx, tx, s)
		return err
	})
	return task.TaskID, err
}

// Finish runs a task that was submitted until it has ended, as Run does.
func (b *Bed) Finish(ctx context.Context, taskID int64) (*orchestration.TaskDetail, error) {
	if err := b.work(ctx, taskID, RunOptions{}); err != nil {
		return nil, err
	}
	return orchestration.ReadTask(ctx, b.own, taskID)
}

// crashOf returns where the attempt's run crashes, if it does so in this attempt.
func (r *run) crashOf(x *orchestration.StepExecution) *Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.crash == nil || r.crash.Step != x.StepName || r.options.Crash.Attempt != x.Attempt {
		return nil
	}
	return r.crash
}

// reach notes that the run has crashed where it should.
func (r *run) reach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reached, r.crash = true, nil
}

func (r *run) result(detail *orchestration.TaskDetail) *Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recorder.mu.Lock()
	defer r.recorder.mu.Unlock()
	r.complete(detail)
	return &Run{Task: detail, Trace: r.trace, Statements: r.statements, Events: r.events, Reached: r.reached}
}

// register has the run receive what happens to its task.
func (b *Bed) register(r *run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs[r.task] = r
}

func (b *Bed) unregister(r *run) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.runs, r.task)
}

// runOf returns the run of a task, or nil.
func (b *Bed) runOf(task int64) *run {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.runs[task]
}

// stubs reports whether a run stubs a step of that class.
func (b *Bed) stubs(class string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.runs {
		if r.stubbed[class] {
			return true
		}
	}
	return false
}
