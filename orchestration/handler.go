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
// An error fails the attempt. A [*StepError] says whether a further one can
// help; any other error is retryable within the step's limit. When ctx ends
// (the step's timeout, a cancel, the engine's end) the handler must return
// soon; what it returns then is dropped.
type StepHandler interface {
	HandleStep(ctx context.Context, x *StepExecution) (json.RawMessage, error)
}

// StepHandlerFunc makes a function a StepHandler.
type StepHandlerFunc func(ctx context.Context, x *StepExecution) (json.RawMessage, error)

// HandleStep calls f.
func (f StepHandlerFunc) HandleStep(ctx context.Context, x *StepExecution) (json.RawMessage, error) {
	return f(ctx, x)
}

// HandlerResolver finds the handler that a template names. An error fails the
// step for good: trying again would find no more.
type HandlerResolver interface {
	ResolveHandler(ctx context.Context, class string) (StepHandler, error)
}

// Handlers is a HandlerResolver for handlers written in Go, by class name.
// Where it has none, Next is asked.
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
	return nil, &StepError{Class: "Tasker::HandlerNotFound", Message: "there is no handler " + class, Permanent: true}
}

// StepExecution is one attempt of a step, as its handler sees it. The JSON
// documents are shared and must not be changed.
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

	// For handlers that show the whole task to their code; docs/engine.md has
	// the shapes.
	TaskHead  json.RawMessage
	StepHead  json.RawMessage
	StepHeads json.RawMessage // of all steps, in topological order

	// KeepThreads is what the template says for keep_threads: the threads that the
	// handler starts live on after the step.
	KeepThreads bool

	// Results are those of the step's ancestors, direct or not, that are done,
	// in topological order.
	Results []StepResult

	session *sqlsession.Session
}

// StepResult is what another step ended with.
type StepResult struct {
	Step string
	JSON json.RawMessage
}

// Result returns the results of an ancestor, or nil.
func (x *StepExecution) Result(step string) json.RawMessage {
	for _, r := range x.Results {
		if r.Step == step {
			return r.JSON
		}
	}
	return nil
}

// Tx returns the step's transaction, which begins with its first statement: what
// is done in it commits together with the step's results, or not at all. Its
// Commit and Rollback are refused; Begin sets a savepoint. A handler that never
// calls Tx holds no connection while it runs.
//
// As with pgx it is for one goroutine at a time. A statement ends with the
// handler at the latest, whatever context it was given; one that is cancelled
// that way fails the step, as do rows that were left open. Later calls fail with
// [sqlsession.ErrOver]. A statement that fails outside a savepoint fails the step
// with its error, also if the handler returns none. After Conn or LargeObjects
// the connection is closed with the step, for nobody knows who still has it.
func (x *StepExecution) Tx(ctx context.Context) (pgx.Tx, error) {
	if !x.session.InStep() {
		return nil, errNoTransaction
	}
	return x.session.Tx(ctx)
}

// SQL returns where the step's statements run, for handlers that are written in
// another language: in the step's transaction or, if the template says
// `transaction: none`, each by itself.
func (x *StepExecution) SQL() *sqlsession.Session { return x.session }

// errNoTransaction: the template says transaction: none.
var errNoTransaction = errors.WithHint(errors.New("the step has no transaction: its template says `transaction: none`"),
	"Take that line out of the template, or use a connection of the handler's own.")

// StepError is a failed attempt: what came of a Ruby exception, or what a
// handler in Go returns to say more than a plain error can.
type StepError struct {
	Class     string   `json:"class"`
	Ancestors []string `json:"ancestors,omitempty"`
	Message   string   `json:"message"`
	Backtrace []string `json:"backtrace,omitempty"`

	Cause      *StepError      `json:"cause,omitempty"`
	ErrorCode  string          `json:"error_code,omitempty"`
	Context    json.RawMessage `json:"context,omitempty"`
	Permanent  bool            `json:"permanent,omitempty"`
	RetryAfter *time.Duration  `json:"-"` // the wait that the handler asks for

	Err error `json:"-"` // what it came from, for errors.Is
}

func (e *StepError) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Class + ": " + e.Message
}

// Unwrap returns what the error came from.
func (e *StepError) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	if e.Cause != nil {
		return e.Cause
	}
	return nil
}
