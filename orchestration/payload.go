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

// docs/engine.md describes the documents below and in snapshot.go, which handlers see of
// a task and its steps. They are made for each attempt, and therefore without reflection.

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

// execution makes the StepExecution for one attempt of s, which takes over the room.
func (l *taskLoop) execution(s *stepRun) *StepExecution {
	t := l.task
	seen := t.snapshot()
	room := s.room
	s.room = 0
	x := &StepExecution{
		TaskID: t.id, StepID: s.id, Namespace: t.template.Namespace, TaskName: t.template.Name,
		StepName: s.template.Name, Class: s.template.HandlerClass, Attempt: s.attempts, TaskHandler: t.template.TaskHandlerClass,
		Steps: len(t.steps), Parents: s.template.Parents,
		Context: t.context, Config: s.template.HandlerConfig,
		TaskHead: t.taskHeadJSON(), StepHead: seen.headOf(s.index),
		KeepThreads: s.template.KeepThreads,
		seen:        seen,
		attempt: &claimedAttempt{
			reads: l.engine.reads, memory: l.engine.memory, step: s.id, claimant: s.claimedBy, number: s.attemptNumber, room: room,
		},
		session: l.engine.sessionFor(s.template),
	}
	l.engine.trace(x)
	return x
}

// trace has Config.OnStatement and Config.AroundStatement told of the step's statements. With
// Config.NoTimeouts its transaction may be idle.
func (e *Engine) trace(x *StepExecution) {
	if e.cfg.OnStatement != nil {
		x.session.Trace(func(s sqlsession.Traced) { e.cfg.OnStatement(x, s) })
	}
	if e.cfg.NoTimeouts {
		x.session.Wait()
	}
	if e.cfg.AroundStatement != nil {
		x.session.Around(func(sql string) (after func(sqlsession.Traced), err error) { return e.cfg.AroundStatement(x, sql) })
	}
}

func (e *Engine) sessionFor(step *templates.Step) *sqlsession.Session {
	if step.Transaction == templates.TransactionNone {
		return sqlsession.Plain(e.pool)
	}
	return sqlsession.ForStep(e.pool, string(step.Isolation))
}
