package orchestration

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// ErrTaskNotFound says that no task has that number.
var ErrTaskNotFound = errors.New("there is no such task")

// taskRun is a task in memory while the engine handles it. It belongs to one goroutine,
// the loop's. Only the loop changes it, and holds mu meanwhile; attempts hold mu while
// they plan their succession.
type taskRun struct {
	mu       sync.Mutex
	closed   bool // the loop claims no more steps
	id       int64
	digest   string // of the template
	template *templates.Template
	number   int64 // the engine's when the task was read; 0 if it had none
	state    TaskState
	context  json.RawMessage
	runAt    time.Time
	revision int
	head     taskHead
	headJSON json.RawMessage
	steps    []*stepRun // in the template's order
	kept     int        // bytes of their results in memory
	shown    *snapshot  // the latest
	changed  []int      // the steps that have changed since
	agenda   agenda
}

// stepRun is one step of a taskRun.
type stepRun struct {
	index    int
	id       int64
	template *templates.Step
	stepView
	children      []int // indexes of the steps that depend on it
	attemptNumber int   // of the latest attempt; stepView.attempts leaves out forgiven ones
	lastAttempted time.Time
	requestedWait *float64 // backoff_request_seconds
	claimedBy     int64
	claimAlive    bool   // the engine of the claim is alive
	results       result // once the step is done
	returned      int    // bytes of results whose commit is under way
	room          int    // what it has taken of Engine.memory for its claim

	running     bool                    // in this loop
	interrupt   context.CancelCauseFunc // ends the handler's context while it runs
	interrupted bool                    // this engine lost the claim while the handler ran

	failure *StepError // of its last attempt, if that was in this loop and left the step in error

	threads *Threads // that its handler runs on; nil if it needs none
	crashes int      // attempts, since the operator's last retry, whose process died

	waitsForPermit bool      // it got no permit of its key; dueAt is when it asks again
	dueBeforeWait  time.Time // dueAt from before that wait
}

// load reads a task with its steps and their small results.
func (e *Engine) load(ctx context.Context, id int64) (*taskRun, error) {
	number, _ := e.session.current() // before the task is read
	t, err := e.loads.load(ctx, id)
	if err != nil {
		return nil, errors.Wrapf(err, "loading task %d", id)
	}
	if t == nil {
		return nil, errors.Wrapf(ErrTaskNotFound, "task %d", id)
	}
	t.number = number
	if t.template, err = e.templateOf(ctx, t.digest); err != nil {
		return nil, errors.Wrapf(err, "reading the template of task %d", id)
	}
	for _, s := range t.steps {
		// A claim of this engine on a step that it does not run is dead: the engine
		// could not record the outcome, or the server has lost it.
		if e.session.owns(s.claimedBy) {
			s.claimAlive = e.watchers.runs(s.id, s.claimedBy)
		}
	}
	if err := t.connect(); err != nil {
		return nil, err
	}
	if threaded, ok := e.cfg.Handlers.(Threaded); ok {
		for _, s := range t.steps {
			s.threads = threaded.ThreadsOf(s.template.HandlerClass)
		}
	}
	return t, nil
}

// connect connects each step to its part of the template.
func (t *taskRun) connect() error {
	for _, s := range t.steps {
		s.template = t.template.Step(s.template.Name)
		if s.template == nil || s.template.Index != s.index {
			return errors.Newf("task %d: its steps do not match its template %s", t.id, t.template.ID())
		}
		for _, p := range s.template.Parents {
			s.parents = append(s.parents, t.template.Step(p).Index)
		}
		for _, c := range s.template.Children {
			s.children = append(s.children, t.template.Step(c).Index)
		}
	}
	t.agenda = makeAgenda(t.steps)
	return nil
}

// noteChange must follow every change of a step.
func (t *taskRun) noteChange(s *stepRun) {
	if t.shown != nil && !slices.Contains(t.changed, s.index) {
		t.changed = append(t.changed, s.index)
	}
	t.agenda.note(t.steps, s)
}

const templateSQL = `select document::text from tasker.templates where digest = $1`

func (e *Engine) templateOf(ctx context.Context, digest string) (*templates.Template, error) {
	if t, ok := e.templates.Load(digest); ok {
		return t.(*templates.Template), nil
	}
	var document string
	var batch pgx.Batch
	batch.Queue(templateSQL, digest).QueryRow(func(row pgx.Row) error { return row.Scan(&document) })
	if err := e.own.short(ctx, &batch); err != nil {
		return nil, err
	}
	t, err := templates.Decode([]byte(document))
	if err != nil {
		return nil, err
	}
	e.templates.Store(digest, t)
	return t, nil
}

// views returns the part of the steps that the decision about the whole task needs.
func (t *taskRun) views() []stepView {
	views := make([]stepView, len(t.steps))
	for i, s := range t.steps {
		views[i] = s.stepView
	}
	return views
}

// nextDue is when the next step that waits for its time may start; zero if there is none.
func (t *taskRun) nextDue(now time.Time) time.Time {
	var next time.Time
	for _, i := range t.agenda.open {
		if due := t.steps[i].dueAt; due.After(now) && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return next
}

// hasDeadClaims reports whether a step is claimed by an engine that is gone.
func (t *taskRun) hasDeadClaims() bool {
	return slices.ContainsFunc(t.steps, (*stepRun).hasDeadClaim)
}

func (s *stepRun) hasDeadClaim() bool { return s.state == StepInProgress && !s.claimAlive }
