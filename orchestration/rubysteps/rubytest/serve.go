package rubytest

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Config configures [Serve]. Bed is required.
type Config struct {
	// Bed runs the tasks.
	Bed *testbed.Bed
	// Templates are files, and folders of files, that run_task knows by name.
	Templates []string
	// Kill runs a task in a process of its own, until a fault kills that process. It reports
	// whether it did; otherwise the task has ended, or waits. Nil means that there are no
	// such processes.
	Kill func(ctx context.Context, k Kill) (bool, error)
	// Events are those of the Bed's engines, if subscribers in Ruby are to be told of them. A
	// task counts as run when they have been. Optional.
	Events *rubysteps.Events
	// Logger gets what the service itself has to say. Default slog.Default.
	Logger *slog.Logger
}

// Kill is a task for a process that is to be killed.
type Kill struct {
	TaskID int64
	Now    time.Time                  // of the clock
	Stubs  map[string]json.RawMessage // results of steps, by the steps' names
	Fault  testbed.Fault
}

// Serve answers Tasker::Testing in the host, for as long as that runs.
func Serve(ctx context.Context, host *rubyhost.Host, cfg Config) error {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &service{cfg: cfg, bed: cfg.Bed, templates: newLibrary(cfg.Templates)}
	return errors.Wrap(host.Serve(ctx, "tests", s.serve), "serving Tasker::Testing")
}

// service answers one process's tests.
type service struct {
	cfg       Config
	bed       *testbed.Bed
	templates *library
	serial    atomic.Bool // the task that runs is to come out the same each time

	mu    sync.Mutex
	saved []*testbed.Saved
	kills []testbed.Fault // for processes of their own
}

// request has the fields of all operations.
type request struct {
	Op  string `json:"op"`
	Now int64  `json:"now"`

	// run_task and run_step
	Template     string                     `json:"template"`
	Version      string                     `json:"version"`
	Env          string                     `json:"env"`
	Context      json.RawMessage            `json:"context"`
	Stubs        map[string]json.RawMessage `json:"stubs"`
	Workers      int                        `json:"workers"`
	Serial       bool                       `json:"serial"`
	Crash        *point                     `json:"crash"`
	RunAt        int64                      `json:"run_at"`
	HandlerClass string                     `json:"handler_class"`
	Results      map[string]json.RawMessage `json:"results"`
	Config       json.RawMessage            `json:"config"`

	// faults and effects; step also for run_step
	Step    string `json:"step"`
	Attempt int    `json:"attempt"`
	Kind    string `json:"kind"`
	At      string `json:"at"`
	Number  int    `json:"number"`
	Side    string `json:"side"`
	Times   int    `json:"times"`
	Real    bool   `json:"real"`
	Detail  string `json:"detail"`
	Place   string `json:"place"`
	Key     string `json:"key"`

	// save, restore, travel
	ID  int   `json:"id"`
	Gap bool  `json:"gap"` // restore: all sequences go on by one
	To  int64 `json:"to"`
}

type point struct {
	Step    string `json:"step"`
	Attempt int    `json:"attempt"`
	At      string `json:"at"`
	Number  int    `json:"number"`
	Side    string `json:"side"`
}

// reply is what an operation answers, beside the clock.
type reply map[string]any

// serve answers one request. An error of the operation is part of the answer.
func (s *service) serve(ctx context.Context, payload []byte) ([]byte, error) {
	var r request
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, errors.Wrap(err, "a request of Tasker::Testing")
	}
	answer, err := s.answer(ctx, &r)
	if answer == nil {
		answer = reply{}
	}
	if err != nil {
		answer["error"] = strings.TrimPrefix(err.Error(), "testbed: ") // a word for who writes Go
		if hint := errors.FlattenHints(err); hint != "" {
			answer["hint"] = hint
		}
	}
	answer["now"] = s.bed.Now().UnixMicro()
	return json.Marshal(answer)
}

func (s *service) answer(ctx context.Context, r *request) (reply, error) {
	now := time.UnixMicro(r.Now).UTC()
	switch r.Op {
	case "begin":
		s.forget()
		return nil, s.bed.Begin(ctx, now)
	case "travel":
		return nil, s.bed.SetTime(ctx, time.UnixMicro(r.To).UTC())
	}
	if r.Now > 0 {
		s.bed.Advance(now)
	}
	switch r.Op {
	case "end":
		return s.end(ctx)
	case "run_task":
		return s.runTask(ctx, r)
	case "run_step":
		return s.runStep(ctx, r)
	case "fault":
		return nil, s.fault(r)
	case "step_begin":
		return s.stepBegin(ctx)
	case "expire":
		return nil, s.expire(ctx)
	case "effect":
		return nil, s.effect(ctx, r)
	case "save":
		return s.save(ctx)
	case "restore":
		return nil, s.restore(ctx, r.ID, r.Gap)
	case "there": // a question whether anybody answers
		return nil, nil
	}
	return nil, errors.Newf("Tasker::Testing asked for %q, which this program does not know", r.Op)
}

// forget drops what belongs to the example before.
func (s *service) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved, s.kills = nil, nil
}

func (s *service) end(ctx context.Context) (reply, error) {
	left, err := s.bed.End(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	unmet := []reply{}
	for _, f := range append(left.Unmet, s.kills...) {
		u := reply{"step": f.Step, "kind": f.Kind, "at": f.At}
		if f.At == testbed.AtStatement {
			u["number"] = max(f.Number, 1)
		}
		unmet = append(unmet, u)
	}
	return reply{"unmet": unmet, "warnings": append([]string{}, left.Warnings...)}, err
}

func (s *service) save(ctx context.Context) (reply, error) {
	saved, err := s.bed.Save(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = append(s.saved, saved)
	return reply{"id": len(s.saved)}, nil
}

// gapSQL has each sequence of the user's leave out a number, as a crash does.
const gapSQL = `
	select nextval(c.oid::regclass)
	from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace
	where coalesce(pg_sequence_last_value(c.oid), s.seqstart) + 2 * s.seqincrement between s.seqmin and s.seqmax
		and c.relpersistence <> 't' and n.nspname !~ '^(pg_|information_schema$|tasker$|tasker_testbed$)'`

func (s *service) restore(ctx context.Context, id int, gap bool) error {
	s.mu.Lock()
	if id < 1 || id > len(s.saved) {
		s.mu.Unlock()
		return errors.Newf("nothing was saved under %d in this example", id)
	}
	saved := s.saved[id-1]
	s.mu.Unlock()
	if err := s.bed.Restore(ctx, saved); err != nil || !gap {
		return err
	}
	_, err := s.bed.Pool().Exec(ctx, gapSQL)
	return errors.Wrap(err, "leaving numbers out of the sequences")
}

// execution returns the attempt that asks.
func execution(ctx context.Context) (*orchestration.StepExecution, error) {
	if x := rubysteps.Execution(ctx); x != nil {
		return x, nil
	}
	return nil, errors.New("only the handler of a step can ask this")
}

func (s *service) stepBegin(ctx context.Context) (reply, error) {
	x, err := execution(ctx)
	if err != nil {
		return nil, err
	}
	answer := reply{"expire_in_sleep": s.bed.Expires(x.TaskID, x.StepName, x.Attempt)}
	if s.serial.Load() {
		answer["seed"] = seedOf(x)
	}
	return answer, nil
}

func (s *service) expire(ctx context.Context) error {
	x, err := execution(ctx)
	if err != nil {
		return err
	}
	s.bed.Expire(x.TaskID, x.StepName, x.Attempt)
	return nil
}

func (s *service) effect(ctx context.Context, r *request) error {
	x, err := execution(ctx)
	if err != nil {
		return err
	}
	s.bed.Effect(testbed.Entry{
		TaskID: x.TaskID, Step: x.StepName, Attempt: x.Attempt, Effect: r.Kind, Detail: r.Detail, Place: r.Place, Key: r.Key,
	})
	return nil
}

// unknownStep says that a template has no such step.
func unknownStep(what, step string, known []string) error {
	return errors.WithHint(errors.Newf("%s names the step %q, and the template has no such step", what, step), nearest.Hint(step, known))
}
