package runner

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// bridgeRuns runs tasks without an engine: the steps of a task one after another, through
// the bridge, with the results in memory.
type bridgeRuns struct {
	host        *rubyhost.Host
	calls       *calls
	threads     int
	allowFailed bool
	tasks       atomic.Int64
}

func (r *bridgeRuns) run(ctx context.Context, list []work, tell func(int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, ended atomic.Int64
	var group sync.WaitGroup
	for range min(r.threads, len(list)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(len(list)) {
					return
				}
				if err := r.task(ctx, list[i]); err != nil {
					cancel(err)
				}
				ended.Add(1)
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return context.Cause(ctx)
		case <-tick.C:
			tell(ended.Load())
		}
	}
}

// task runs the steps of one task.
func (r *bridgeRuns) task(ctx context.Context, w work) error {
	id := r.tasks.Add(1)
	t := w.template
	heads := make([]json.RawMessage, len(t.Steps))
	results := map[string]json.RawMessage{}
	for i, s := range t.Steps {
		heads[i] = stepHead(id, s, "pending", 0)
	}
	for i, s := range t.Steps {
		out, err := r.step(ctx, id, w, i, heads, results)
		if err != nil && (!r.allowFailed || ctx.Err() != nil) {
			return err
		}
		if err != nil {
			return nil // the task has failed, as it may
		}
		results[s.Name] = out
	}
	return nil
}

// step runs one step, again when its error says that another attempt may help.
func (r *bridgeRuns) step(ctx context.Context, id int64, w work, i int, heads []json.RawMessage, results map[string]json.RawMessage) (json.RawMessage, error) {
	s := w.template.Steps[i]
	handler, err := r.host.Handler(ctx, s.HandlerClass)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		heads[i] = stepHead(id, s, "in_progress", attempt)
		step := rubyhost.Step{
			Task: taskHead(id, w.template), Context: w.context, Step: heads[i], Config: s.HandlerConfig,
			Steps: arrayOf(heads), KeepThreads: s.KeepThreads,
		}
		for _, a := range w.template.Ancestors(s.Name) {
			step.Results = append(step.Results, rubyhost.Result{Step: a.Name, JSON: results[a.Name]})
		}
		r.calls.of(s.HandlerClass).Add(1)
		out, err := r.call(ctx, s, handler, &step)
		if err == nil {
			heads[i] = stepHead(id, s, "complete", attempt)
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var ruby *rubyhost.Error
		permanent := errors.As(err, &ruby) && ruby.Permanent
		if permanent || !s.Retryable || attempt >= s.RetryLimit {
			return nil, bridgeFailure(w.template.Namespace+"/"+w.template.Name, s.Name, err)
		}
	}
}

func (r *bridgeRuns) call(ctx context.Context, s *templates.Step, handler *rubyhost.Handler, step *rubyhost.Step) (json.RawMessage, error) {
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Timeout)
		defer cancel()
	}
	return handler.Run(ctx, step)
}

func bridgeFailure(task, step string, err error) *soak.Failure {
	f := failureOf(task, nil)
	f.Detail = []string{"step " + step + ": " + err.Error()}
	var ruby *rubyhost.Error
	if errors.As(err, &ruby) {
		f.Detail = append(f.Detail, ruby.Backtrace[:min(len(ruby.Backtrace), 5)]...)
	}
	return f
}

// taskHead and stepHead are the documents that the engine makes (docs/engine.md), without
// what only a database knows.
func taskHead(id int64, t *templates.Template) json.RawMessage {
	return mustMarshal(map[string]any{
		"task_id": id, "name": t.Name, "namespace_name": t.Namespace, "version": t.Version, "status": "in_progress", "tags": []string{},
		"created_at": time.Now(),
	})
}

func stepHead(task int64, s *templates.Step, status string, attempts int) json.RawMessage {
	head := map[string]any{
		"workflow_step_id": task<<13 + int64(s.Index), "task_id": task, "name": s.Name, "description": s.Description,
		"dependent_system": s.DependentSystem, "status": status, "attempts": attempts, "retry_limit": s.RetryLimit,
		"retryable": s.Retryable, "processed": status == "complete", "in_process": status == "in_progress", "inputs": nil,
		"last_attempted_at": nil, "backoff_request_seconds": nil,
		"parents": append([]string{}, s.Parents...), "children": append([]string{}, s.Children...), "handler_class": s.HandlerClass,
	}
	if s.HandlerMethod != "" {
		head["handler_method"] = s.HandlerMethod
	}
	return mustMarshal(head)
}

func arrayOf(documents []json.RawMessage) json.RawMessage { return mustMarshal(documents) }

// mustMarshal is for values that always marshal.
func mustMarshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
