package orchestration

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// StepHandler runs one attempt of a step and returns its results as JSON. It
// is called from many goroutines at once.
//
// An error fails the attempt. A [*StepError] says whether another attempt can help; any
// other error is retried within the step's limit.
//
// ctx ends with the step's timeout, with a cancel, and when the engine stops. The handler
// must then return soon, and its results are dropped.
type StepHandler interface {
	HandleStep(ctx context.Context, x *StepExecution) (json.RawMessage, error)
}

// StepHandlerFunc makes a function a StepHandler.
type StepHandlerFunc func(ctx context.Context, x *StepExecution) (json.RawMessage, error)

// HandleStep calls f.
func (f StepHandlerFunc) HandleStep(ctx context.Context, x *StepExecution) (json.RawMessage, error) {
	return f(ctx, x)
}

// HandlerResolver finds the handler that a template names. [ErrHandlerNotFound] says that
// there is no such class: a worker then leaves the template's tasks to others. Any other
// error fails the step permanently, because another attempt would fail in the same way.
type HandlerResolver interface {
	ResolveHandler(ctx context.Context, class string) (StepHandler, error)
}

// Handlers is a HandlerResolver for handlers written in Go, by class name. It asks Next
// for the classes that it does not have.
type Handlers struct {
	ByClass map[string]StepHandler
	Next    HandlerResolver
}

// ResolveHandler implements [HandlerResolver].
func (h Handlers) ResolveHandler(ctx context.Context, class string) (StepHandler, error) {
	if handler := h.ByClass[class]; handler != nil {
		return handler, nil
	}
	if h.Next != nil {
		return h.Next.ResolveHandler(ctx, class)
	}
	return nil, &StepError{Class: "Tasker::HandlerNotFound", Message: "no handler for class " + class, Permanent: true, Err: ErrHandlerNotFound}
}

// ThreadsOf implements [Threaded]. Handlers of ByClass need no threads.
func (h Handlers) ThreadsOf(class string) *Threads {
	if next, ok := h.Next.(Threaded); ok && h.ByClass[class] == nil {
		return next.ThreadsOf(class)
	}
	return nil
}

// ErrHandlerNotFound says that a resolver has no handler of that class.
var ErrHandlerNotFound = errors.New("there is no such handler class")

// StepExecution is one attempt of a step, as its handler sees it. The JSON documents are
// shared and must not be changed. Who keeps it keeps the results of all the task's steps
// in memory.
type StepExecution struct {
	TaskID    int64
	StepID    int64
	Namespace string
	TaskName  string
	StepName  string
	Class     string // of the handler, as the template names it
	Attempt   int    // counted from 1, this one included

	Context json.RawMessage // the task's context, an object
	Config  json.RawMessage // handler_config, an object

	Steps   int      // how many steps the task has
	Parents []string // the steps that this one depends on directly

	// For handlers that show the whole task to their code. docs/engine.md describes
	// these documents, and those of the methods.
	TaskHead json.RawMessage
	StepHead json.RawMessage

	// KeepThreads is what the template says for keep_threads: the threads that the
	// handler starts live on after the step.
	KeepThreads bool

	seen    *snapshot
	session *sqlsession.Session
}

// StepResult is the result of another step.
type StepResult struct {
	Step string
	JSON json.RawMessage
}

// Results returns the results of all ancestors that are done, in topological order. It
// looks at every step of the task; [StepExecution.Result] looks at one.
func (x *StepExecution) Results() []StepResult {
	var results []StepResult
	if x.seen == nil {
		return results
	}
	for _, a := range x.seen.template.Ancestors(x.StepName) {
		if r := x.seen.step(a.Index).results; r != nil {
			results = append(results, StepResult{Step: a.Name, JSON: r})
		}
	}
	return results
}

// Result returns the results of an ancestor, or nil.
func (x *StepExecution) Result(step string) json.RawMessage {
	if x.seen == nil || !x.seen.template.DependsOn(x.StepName, step) {
		return nil
	}
	return x.seen.step(x.seen.template.Step(step).Index).results
}

// StepHeads returns the heads of all steps, in topological order, as they were when the
// attempt began. The document grows with the number of steps, and so does the time to
// make it; [StepExecution.HeadOf] makes one head.
func (x *StepExecution) StepHeads() json.RawMessage {
	if x.seen == nil {
		return nil
	}
	return x.seen.heads()
}

// HeadOf returns the head of a step, or nil if the task has no such step.
func (x *StepExecution) HeadOf(step string) json.RawMessage {
	if x.seen == nil {
		return nil
	}
	s := x.seen.template.Step(step)
	if s == nil {
		return nil
	}
	return x.seen.headOf(s.Index)
}

// Tx returns the step's transaction, which begins with its first statement. The
// transaction commits together with the step's results, or not at all. Its Commit and
// Rollback return an error; Begin sets a savepoint. A handler that never calls Tx holds no
// connection while it runs.
//
// As in pgx, one goroutine may use the transaction at a time. A statement ends when the
// handler returns at the latest, whatever its context. If it is cancelled that way, or
// leaves rows open, the step fails. Later calls fail with [sqlsession.ErrOver].
//
// A statement that fails outside a savepoint fails the step with its error, even if the
// handler returns none. After Conn or LargeObjects the connection is closed with the step,
// because the handler's code may still hold it.
func (x *StepExecution) Tx(ctx context.Context) (pgx.Tx, error) {
	if !x.session.InStep() {
		return nil, errNoTransaction
	}
	return x.session.Tx(ctx)
}

// SQL returns the session for the step's statements, for handlers in another language.
// They run in the step's transaction or, if the template says `transaction: none`, each
// in one of its own.
func (x *StepExecution) SQL() *sqlsession.Session { return x.session }

// errNoTransaction says that the template has transaction: none.
var errNoTransaction = errors.WithHint(errors.New("the step has no transaction: its template says `transaction: none`"),
	"Remove that line from the template, or let the handler open a connection of its own.")

// StepError describes a failed attempt. It is made from a Ruby exception, or returned by
// a handler in Go that has more to say than a plain error.
type StepError struct {
	Class     string   `json:"class"`
	Ancestors []string `json:"ancestors,omitempty"`
	Message   string   `json:"message"`
	Backtrace []string `json:"backtrace,omitempty"`

	Cause      *StepError      `json:"cause,omitempty"`
	ErrorCode  string          `json:"error_code,omitempty"`
	Context    json.RawMessage `json:"context,omitempty"`
	Permanent  bool            `json:"permanent,omitempty"`
	RetryAfter *time.Duration  `json:"-"` // the wait before the next attempt, if the handler asks for one

	Err error `json:"-"` // the underlying error, for errors.Is
}

func (e *StepError) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Class + ": " + e.Message
}

// Unwrap returns the underlying error.
func (e *StepError) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	if e.Cause != nil {
		return e.Cause
	}
	return nil
}
