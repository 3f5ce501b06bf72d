package orchestration

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/templates"
)

// taskHead is the part of a row of tasker.tasks that only the head of a task shows.
type taskHead struct {
	tags                            []string
	initiator, sourceSystem, reason string
	createdAt                       time.Time
}

// docs/engine.md describes the documents below, which handlers see of a task and its
// steps. They are made for each attempt, and therefore without reflection.

func (t *taskRun) taskHeadJSON() json.RawMessage {
	if t.headJSON == nil {
		b := make([]byte, 0, 384)
		b = strconv.AppendInt(append(b, `{"task_id":`...), t.id, 10)
		b = appendText(append(b, `,"name":`...), t.template.Name)
		b = appendText(append(b, `,"namespace_name":`...), t.template.Namespace)
		b = appendText(append(b, `,"version":`...), t.template.Version)
		b = appendText(append(b, `,"status":`...), string(t.state))
		b = appendTexts(append(b, `,"tags":`...), t.head.tags)
		b = appendMember(b, `,"initiator":`, t.head.initiator)
		b = appendMember(b, `,"source_system":`, t.head.sourceSystem)
		b = appendMember(b, `,"reason":`, t.head.reason)
		b = appendTime(append(b, `,"created_at":`...), t.head.createdAt)
		t.headJSON = append(b, '}')
	}
	return t.headJSON
}

// appendHead adds the head of a step.
func (s *stepRun) appendHead(b []byte, taskID int64) []byte {
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
	return append(b, '}')
}

// stepHeads is the array of all steps' heads. Each step's head is a part of that array.
// Only the heads of changed steps are made anew.
func (t *taskRun) stepHeads() json.RawMessage {
	if t.heads == nil {
		size := 2
		for _, s := range t.steps {
			size += 1 + max(len(s.head), 512) // an estimate
		}
		b := append(make([]byte, 0, size), '[')
		for i, s := range t.steps {
			if i > 0 {
				b = append(b, ',')
			}
			began := len(b)
			if s.head != nil {
				b = append(b, s.head...)
			} else {
				b = s.appendHead(b, t.id)
			}
			s.head = json.RawMessage(b[began:len(b):len(b)]) // a part of the new array, so that the old one can be freed
		}
		t.heads = append(b, ']')
	}
	return t.heads
}

// dropHeads drops the documents that show the step.
func (t *taskRun) dropHeads(s *stepRun) { s.head, t.heads = nil, nil }

// appendText adds a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return append(b, mustMarshal(s)...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// appendMember adds a member unless its value is empty.
func appendMember(b []byte, member, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(append(b, member...), s)
}

func appendTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, s := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return append(b, ']')
}

// appendTime adds a time, or null for the zero time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

// mustMarshal is for strings, numbers and such, which always marshal.
func mustMarshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// execution makes the StepExecution for one attempt of s.
func (l *taskLoop) execution(s *stepRun) *StepExecution {
	t := l.task
	heads := t.stepHeads()
	x := &StepExecution{
		TaskID: t.id, StepID: s.id, Namespace: t.template.Namespace, TaskName: t.template.Name,
		StepName: s.template.Name, Class: s.template.HandlerClass, Attempt: s.attempts,
		Context: t.context, Config: s.template.HandlerConfig,
		TaskHead: t.taskHeadJSON(), StepHead: s.head, StepHeads: heads,
		KeepThreads: s.template.KeepThreads,
		session:     l.engine.sessionFor(s.template),
	}
	for _, a := range t.template.Ancestors(s.template.Name) {
		if r := t.steps[a.Index].results; r != nil {
			x.Results = append(x.Results, StepResult{Step: a.Name, JSON: r})
		}
	}
	return x
}

func (e *Engine) sessionFor(step *templates.Step) *sqlsession.Session {
	if step.Transaction == templates.TransactionNone {
		return sqlsession.Plain(e.pool)
	}
	return sqlsession.ForStep(e.pool, string(step.Isolation))
}
