package orchestration

import (
	"encoding/json"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tasker-rb/tasker-rb/templates"
)

// shownStep is a step as the documents of an attempt show it. It is never changed, only
// replaced, so attempts can share it.
type shownStep struct {
	id            int64
	template      *templates.Step
	state         StepState
	attempts      int
	limit         int
	retries       bool
	lastAttempted time.Time
	requestedWait *float64
	results       result // once the step is done

	head atomic.Pointer[json.RawMessage] // made when it is first asked for
}

func (s *stepRun) show() *shownStep {
	return &shownStep{
		id: s.id, template: s.template, state: s.state, attempts: s.attempts, limit: s.limit, retries: s.retries,
		lastAttempted: s.lastAttempted, requestedWait: s.requestedWait, results: s.results,
	}
}

// snapshot is a task's steps as they were at one moment. A step of a task with 5,000 must
// not cost a copy of all of them: so the steps are in blocks, and a snapshot shares with
// the one before it the blocks that have not changed.
type snapshot struct {
	task     int64
	template *templates.Template
	blocks   [][]*shownStep
}

const blockSize = 64

func (n *snapshot) step(i int) *shownStep { return n.blocks[i/blockSize][i%blockSize] }

// snapshot returns the steps as they are now.
func (t *taskRun) snapshot() *snapshot {
	switch {
	case t.shown == nil:
		n := &snapshot{task: t.id, template: t.template}
		for some := range slices.Chunk(t.steps, blockSize) {
			block := make([]*shownStep, 0, len(some))
			for _, s := range some {
				block = append(block, s.show())
			}
			n.blocks = append(n.blocks, block)
		}
		t.shown = n
	case len(t.changed) > 0:
		n := &snapshot{task: t.id, template: t.template, blocks: slices.Clone(t.shown.blocks)}
		for _, i := range t.changed {
			block := &n.blocks[i/blockSize]
			if &(*block)[0] == &t.shown.blocks[i/blockSize][0] {
				*block = slices.Clone(*block)
			}
			(*block)[i%blockSize] = t.steps[i].show()
		}
		t.shown = n
	}
	t.changed = t.changed[:0]
	return t.shown
}

// headOf returns the head of a step.
func (n *snapshot) headOf(i int) json.RawMessage {
	s := n.step(i)
	if made := s.head.Load(); made != nil {
		return *made
	}
	head := json.RawMessage(s.appendHead(make([]byte, 0, 512), n.task))
	s.head.Store(&head)
	return head
}

// heads is the array of all steps' heads.
func (n *snapshot) heads() json.RawMessage {
	size := 2
	for i := range n.template.Steps {
		size += 1 + len(n.headOf(i))
	}
	b := append(make([]byte, 0, size), '[')
	for i := range n.template.Steps {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, n.headOf(i)...)
	}
	return append(b, ']')
}

// appendHead adds the head of the step.
func (s *shownStep) appendHead(b []byte, taskID int64) []byte {
	b = strconv.AppendInt(append(b, `{"workflow_step_id":`...), s.id, 10)
	b = strconv.AppendInt(append(b, `,"task_id":`...), taskID, 10)
	b = appendText(append(b, `,"name":`...), s.template.Name)
	b = appendMember(b, `,"description":`, s.template.Description)
	b = appendMember(b, `,"dependent_system":`, s.template.DependentSystem)
	b = appendText(append(b, `,"status":`...), string(s.state))
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(s.attempts), 10)
	b = strconv.AppendInt(append(b, `,"retry_limit":`...), int64(s.limit), 10)
	b = strconv.AppendBool(append(b, `,"retryable":`...), s.retries)
	b = strconv.AppendBool(append(b, `,"processed":`...), s.state.Done())
	b = strconv.AppendBool(append(b, `,"in_process":`...), s.state == StepInProgress)
	b = appendTime(append(b, `,"inputs":null,"last_attempted_at":`...), s.lastAttempted)
	b = append(b, `,"backoff_request_seconds":`...)
	if s.requestedWait == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, mustMarshal(*s.requestedWait)...)
	}
	b = appendTexts(append(b, `,"parents":`...), s.template.Parents)
	b = appendTexts(append(b, `,"children":`...), s.template.Children)
	b = appendText(append(b, `,"handler_class":`...), s.template.HandlerClass)
	if s.template.HandlerMethod != "" {
		b = appendText(append(b, `,"handler_method":`...), s.template.HandlerMethod)
	}
	if len(s.template.Published) > 0 {
		b = append(append(b, `,"publishes_events":`...), mustMarshal(s.template.Published)...)
		if s.template.RetryProgrammingErrors {
			b = append(b, `,"retry_programming_errors":true`...)
		}
	}
	return append(b, '}')
}
