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
type Handlers struct{ host *rubyhost.Host }

// New returns the handlers of a host.
func New(host *rubyhost.Host) *Handlers { return &Handlers{host: host} }

// ResolveHandler implements [orchestration.HandlerResolver]. The host remembers
// the classes that it has found.
func (h *Handlers) ResolveHandler(ctx context.Context, class string) (orchestration.StepHandler, error) {
	found, err := h.host.Handler(ctx, class)
	if err != nil {
		return nil, toStepError(err)
	}
	return handler{found}, nil
}

type handler struct{ ruby *rubyhost.Handler }

func (h handler) HandleStep(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	step := rubyhost.Step{
		Task: x.TaskHead, Context: x.Context, Step: x.StepHead, Config: x.Config, Steps: x.StepHeads,
		Results: make([]rubyhost.Result, len(x.Results)), KeepThreads: x.KeepThreads,
	}
	for i, r := range x.Results {
		step.Results[i] = rubyhost.Result{Step: r.Step, JSON: r.JSON}
	}
	ctx = context.WithValue(ctx, executionKey{}, x)
	ctx = rubyhost.WithLogAttrs(ctx, slog.Int64("task", x.TaskID), slog.String("step", x.StepName), slog.Int("attempt", x.Attempt))
	results, err := h.ruby.Run(ctx, &step)
	if err != nil {
		return nil, toStepError(err)
	}
	return results, nil
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
		Context: e.Context, Permanent: e.Permanent, RetryAfter: e.RetryAfter, Err: e,
	}
	if e.Cause != nil {
		s.Cause = fromRuby(e.Cause)
	}
	return s
}
