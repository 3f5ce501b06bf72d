package orchestration

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/templates"
)

// ErrTaskNotFound says that there is no task with that number.
var ErrTaskNotFound = errors.New("there is no such task")

// taskRun is a task in memory while Handle drives it. It belongs to one
// goroutine.
type taskRun struct {
	id       int64
	digest   string // of the template
	template *templates.Template
	state    TaskState
	context  json.RawMessage
	runAt    time.Time
	revision int
	head     taskHead
	headJSON json.RawMessage
	steps    []*stepRun // in the template's order
	heads    json.RawMessage
	seen     []stepView // what views returned
}

// stepRun is a step of it.
type stepRun struct {
	index    int
	id       int64
	template *templates.Step
	stepView
	number        int // of the latest attempt; stepView.attempts leaves out what was forgiven
	lastAttempted time.Time
	asked         *float64 // backoff_request_seconds
	claimedBy     int64
	claimAlive    bool
	results       json.RawMessage         // once done
	head          json.RawMessage         // part of the task's heads; nil when it must be made anew
	running       bool                    // by this Handle
	taken         bool                    // away from it while it ran
	interrupt     context.CancelCauseFunc // while it runs
	slotless      bool                    // it waits for a slot of its key: dueAt says when it asks again
	dueBefore     time.Time               // dueAt without that
}

// load reads a task with its steps and their results.
func (e *Engine) load(ctx context.Context, id int64) (*taskRun, error) {
	t, err := e.loads.load(ctx, id)
	if err != nil {
		return nil, errors.Wrapf(err, "loading task %d", id)
	}
	if t == nil {
		return nil, errors.Wrapf(ErrTaskNotFound, "task %d", id)
	}
	if t.template, err = e.templateOf(ctx, t.digest); err != nil {
		return nil, errors.Wrapf(err, "the template of task %d", id)
	}
	for _, s := range t.steps {
		// What this engine claimed and does not run is nobody's: its outcome
		// could not be recorded.
		if e.session.owns(s.claimedBy) {
			s.claimAlive = e.hub.runs(s.id)
		}
	}
	return t, t.connect()
}

// connect gives each step its part of the template.
func (t *taskRun) connect() error {
	for _, s := range t.steps {
		s.template = t.template.Step(s.template.Name)
		if s.template == nil || s.template.Index != s.index {
			return errors.Newf("task %d: its steps are not those of its template %s", t.id, t.template.ID())
		}
		for _, p := range s.template.Parents {
			s.parents = append(s.parents, t.template.Step(p).Index)
		}
	}
	return nil
}

func (e *Engine) templateOf(ctx context.Context, digest string) (*templates.Template, error) {
	if t, ok := e.templates.Load(digest); ok {
		return t.(*templates.Template), nil
	}
	var document string
	err := e.pool.QueryRow(ctx, `select document::text from tasker.templates where digest = $1`, digest).Scan(&document)
	if err != nil {
		return nil, err
	}
	t, err := templates.Decode([]byte(document))
	if err != nil {
		return nil, err
	}
	e.templates.Store(digest, t)
	return t, nil
}

// views are the steps as decisions see them, until the next call.
func (t *taskRun) views() []stepView {
	t.seen = t.seen[:0]
	for _, s := range t.steps {
		t.seen = append(t.seen, s.stepView)
	}
	return t.seen
}
