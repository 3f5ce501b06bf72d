package orchestration

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/templates"
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

// ContextChecker is a [HandlerResolver] that also knows what a template's task handler
// says of contexts. A submission is refused with its error.
type ContextChecker interface {
	// CheckContext checks the context of a new task, which fits the template's own schema.
	// Its error is a [*templates.ContextError] if the context does not fit.
	CheckContext(ctx context.Context, t *templates.Template, context json.RawMessage) error
}

// CheckContext implements [ContextChecker]: Next checks, if it can.
func (h Handlers) CheckContext(ctx context.Context, t *templates.Template, context json.RawMessage) error {
	if next, ok := h.Next.(ContextChecker); ok {
		return next.CheckContext(ctx, t, context)
	}
	return nil
}

// ErrNotBegun is returned by a handler that has waited in vain for its code to begin. The
// attempt does not count.
var ErrNotBegun = errors.New("no thread has begun the handler")

// ErrHandlerNotFound says that a resolver has no handler of that class.
var ErrHandlerNotFound = errors.New("there is no such handler class")

// StepExecution is one attempt of a step, as its handler sees it. The JSON documents are
// shared and must not be changed.
type StepExecution struct {
	TaskID    int64
	StepID    int64
	Namespace string
	TaskName  string
	StepName  string
	Class     string // of the handler, as the template names it
	Attempt   int    // counted from 1, this one included

	// TaskHandler is the class of the task's own handler, as the template names it. Empty if
	// it names none.
	TaskHandler string

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

	// Withdraw is for handlers on [Threads] with a queue of their own: when it is closed, a
	// handler whose code has not begun returns [ErrNotBegun]. Nil if it has a thread.
	Withdraw <-chan struct{}

	seen    *snapshot
	attempt *claimedAttempt
	session *sqlsession.Session

	interrupt context.CancelCauseFunc // ends the handler's context
	limit     time.Duration           // the step's timeout
}

// Expire ends the step's time at once, as if its timeout_seconds were over. Its context
// ends, and the attempt fails with Tasker::StepTimeout, whatever the handler returns. Tests
// use it to try a timeout without waiting for it. After the handler has returned it does
// nothing. It must not be called for a step without a timeout.
func (x *StepExecution) Expire() {
	if x.interrupt != nil {
		x.interrupt(errTimeout{x.limit})
	}
}

// StepResult is the result of another step.
type StepResult struct {
	Step string
	JSON json.RawMessage
}

// Results returns the results of all ancestors that are done, in topological order. It
// looks at every step of the task; [StepExecution.Result] looks at one. Both read large
// results from the database, each time: keep what you need again.
//
// They wait while the database does not answer, until ctx ends. They fail if the attempt
// has lost its claim, because the task was cancelled, deleted or taken over.
func (x *StepExecution) Results(ctx context.Context) ([]StepResult, error) {
	var results []StepResult
	if x.seen == nil {
		return results, nil
	}
	var absent []int
	for _, a := range x.seen.template.Ancestors(x.StepName) {
		r := x.seen.step(a.Index).results
		if r.bytes == 0 {
			continue
		}
		if r.json == nil {
			absent = append(absent, a.Index)
		}
		results = append(results, StepResult{Step: a.Name, JSON: r.json})
	}
	read, err := x.read(ctx, absent)
	if err != nil {
		return nil, err
	}
	for i := range results {
		if results[i].JSON == nil {
			results[i].JSON, read = read[0], read[1:]
		}
	}
	return results, nil
}

// Result returns the results of an ancestor, or nil if it is not done or no ancestor.
func (x *StepExecution) Result(ctx context.Context, step string) (json.RawMessage, error) {
	r, i := x.resultOf(step)
	if r.bytes == 0 || r.json != nil {
		return r.json, nil
	}
	read, err := x.read(ctx, []int{i})
	if err != nil {
		return nil, err
	}
	return read[0], nil
}

// SmallResult returns the results of an ancestor if they are in memory. They are if they
// have at most 64 KiB and the task does not have thousands of them. It reads nothing.
func (x *StepExecution) SmallResult(step string) (json.RawMessage, bool) {
	r, _ := x.resultOf(step)
	return r.json, r.json != nil
}

// SmallResults returns the results of all ancestors that are in memory, in topological
// order. all says that there are no others.
func (x *StepExecution) SmallResults() (results []StepResult, all bool) {
	all = true
	if x.seen == nil {
		return nil, all
	}
	for _, a := range x.seen.template.Ancestors(x.StepName) {
		switch r := x.seen.step(a.Index).results; {
		case r.json != nil:
			results = append(results, StepResult{Step: a.Name, JSON: r.json})
		case r.bytes > 0:
			all = false
		}
	}
	return results, all
}

// resultOf returns the results of an ancestor and its index.
func (x *StepExecution) resultOf(step string) (result, int) {
	if x.seen == nil || !x.seen.template.DependsOn(x.StepName, step) {
		return result{}, 0
	}
	i := x.seen.template.Step(step).Index
	return x.seen.step(i).results, i
}

// read reads results from the database, in the order of the steps. The results of a step
// that is done never change, so they are as they were when the attempt began.
func (x *StepExecution) read(ctx context.Context, steps []int) ([]json.RawMessage, error) {
	if len(steps) == 0 {
		return nil, nil
	}
	ids, bytes := make([]int64, len(steps)), 0
	for i, step := range steps {
		shown := x.seen.step(step)
		ids[i], bytes = shown.id, bytes+shown.results.bytes
		x.attempt.note(step, shown.results.large())
	}
	read, err := x.attempt.read(ctx, ids, bytes)
	if err == nil {
		return read, nil
	}
	names := make([]string, len(steps))
	for i, step := range steps {
		names[i] = x.seen.step(step).template.Name
	}
	return nil, errors.Wrapf(err, "reading the results of %s", strings.Join(names, ", "))
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

	Cause     *StepError      `json:"cause,omitempty"`
	ErrorCode string          `json:"error_code,omitempty"`
	Context   json.RawMessage `json:"context,omitempty"`
	Permanent bool            `json:"permanent,omitempty"`
	// Programming says that the code is wrong, and not what it met. It makes the error
	// permanent, unless the template says retry_programming_errors for the step.
	Programming bool `json:"programming,omitempty"`

	RetryAfter *time.Duration `json:"-"` // the wait before the next attempt, if the handler asks for one

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
