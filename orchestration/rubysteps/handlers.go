package rubysteps

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Handlers finds handlers by the names of their classes in a host.
type Handlers struct {
	host    *rubyhost.Host
	threads *orchestration.Threads
	schemas schemas
}

// New returns the handlers of a host. They run on its Ruby threads.
func New(host *rubyhost.Host) *Handlers {
	return &Handlers{
		host: host, threads: orchestration.NewQueuedThreads(host.Threads(), 8*host.Threads()), schemas: schemas{host: host},
	}
}

// ThreadsOf implements [orchestration.Threaded].
func (h *Handlers) ThreadsOf(string) *orchestration.Threads { return h.threads }

// ResolveHandler implements [orchestration.HandlerResolver]. The host remembers
// the classes that it has found.
func (h *Handlers) ResolveHandler(ctx context.Context, class string) (orchestration.StepHandler, error) {
	found, err := h.host.Handler(ctx, class)
	var ruby *rubyhost.Error
	if errors.As(err, &ruby) && ruby.IsA("Tasker::HandlerNotFound") {
		s := fromRuby(ruby)
		s.Err = errors.CombineErrors(orchestration.ErrHandlerNotFound, ruby)
		return nil, s
	}
	if err != nil {
		return nil, toStepError(err)
	}
	return handler{found, &h.schemas}, nil
}

type handler struct {
	ruby    *rubyhost.Handler
	schemas *schemas
}

func (h handler) HandleStep(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	step := rubyhost.Step{
		Task: x.TaskHead, Context: x.Context, Step: x.StepHead, Config: x.Config, KeepThreads: x.KeepThreads, Withdraw: x.Withdraw,
	}
	sendAlong(&step, x)
	ctx = context.WithValue(ctx, executionKey{}, x)
	ctx = rubyhost.WithLogAttrs(ctx, slog.Int64("task", x.TaskID), slog.String("step", x.StepName), slog.Int("attempt", x.Attempt), slog.String("class", x.Class))
	ruby := h.ruby
	if x.TaskHandler != "" {
		var err error
		if ruby, err = h.within(ctx, x.TaskHandler); err != nil {
			return nil, toStepError(err)
		}
	}
	results, err := ruby.Run(ctx, &step)
	if errors.Is(err, rubyhost.ErrNotBegun) {
		return nil, orchestration.ErrNotBegun
	}
	if err != nil {
		return nil, toStepError(err)
	}
	return results, nil
}

// What is sent along with a step. To ask for a document takes some 30 µs, and to send a
// kilobyte a fraction of one, so a small task's documents are all sent. In a task with
// thousands of steps, each would carry those of all others.
const (
	smallTask       = 32       // steps
	sentResults     = 64 << 10 // bytes
	sentParentCount = 16
)

// sendAlong adds the documents that are sent with the step. Ruby asks for the others.
func sendAlong(step *rubyhost.Step, x *orchestration.StepExecution) {
	var results []orchestration.StepResult
	if x.Steps <= smallTask {
		step.Steps = x.StepHeads()
		var all bool
		if results, all = x.SmallResults(); !all {
			step.ByNeed = documents{x}
		}
	} else {
		step.ByNeed = documents{x}
		for _, p := range x.Parents[:min(len(x.Parents), sentParentCount)] {
			if r, small := x.SmallResult(p); small {
				results = append(results, orchestration.StepResult{Step: p, JSON: r})
			}
		}
	}
	sent := 0
	for _, r := range results {
		if sent += len(r.JSON); sent > sentResults {
			step.ByNeed = documents{x}
			return
		}
		step.Results = append(step.Results, rubyhost.Result{Step: r.Step, JSON: r.JSON})
	}
}

// documents are those of one attempt, for Ruby to ask for.
type documents struct{ x *orchestration.StepExecution }

func (d documents) Heads() json.RawMessage           { return d.x.StepHeads() }
func (d documents) Head(step string) json.RawMessage { return d.x.HeadOf(step) }
func (d documents) Result(ctx context.Context, step string) (json.RawMessage, error) {
	return d.x.Result(ctx, step)
}

// toStepError makes any error of the host a StepError. It keeps every part of a
// Ruby exception.
func toStepError(err error) error {
	var interrupted *rubyhost.InterruptedError
	if errors.As(err, &interrupted) {
		class := "Tasker::StepInterrupted"
		if interrupted.Stuck {
			class = "Tasker::StepStuck"
		}
		return &orchestration.StepError{Class: class, Message: interrupted.Error(), Backtrace: interrupted.Backtrace, Err: err}
	}
	var ruby *rubyhost.Error
	if errors.As(err, &ruby) {
		return fromRuby(ruby)
	}
	if errors.IsAny(err, context.Canceled, context.DeadlineExceeded) {
		return err
	}
	message := strings.TrimPrefix(err.Error(), "rubyhost: ")
	if hint := errors.FlattenHints(err); hint != "" {
		message += " (" + hint + ")"
	}
	return &orchestration.StepError{Class: "Tasker::HostError", Message: message, Err: err}
}

func fromRuby(e *rubyhost.Error) *orchestration.StepError {
	if e == nil {
		return nil
	}
	s := &orchestration.StepError{
		Class: e.Class, Ancestors: e.Ancestors, Message: e.Message, Backtrace: e.Backtrace, ErrorCode: e.ErrorCode,
		Context: e.Context, Permanent: e.Permanent, Programming: isProgrammingError(e), RetryAfter: e.RetryAfter, Err: e,
	}
	if e.Cause != nil {
		s.Cause = fromRuby(e.Cause)
	}
	return s
}
