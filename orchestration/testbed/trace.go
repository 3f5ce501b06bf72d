package testbed

import (
	"sync"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// What an [Entry] tells of.
const (
	EntryBegin     = "begin"     // a handler's code begins
	EntryStatement = "statement" // a statement of a handler has been run
	EntryEffect    = "effect"    // something outside the database, see [Bed.Effect]
	EntryCommit    = "commit"    // the attempt is complete, and its SQL is committed
	EntryFail      = "fail"      // the attempt has failed
	EntryCrash     = "crash"     // the engine was dropped
	EntryEnd       = "end"       // the task has ended
)

// Entry is one thing that happened in a run. Entries are in the order of happening.
type Entry struct {
	Kind    string `json:"kind"`
	Step    string `json:"step,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	Number  int    `json:"number,omitempty"` // of the statement in its attempt, counted from 1
	SQL     string `json:"sql,omitempty"`
	Detail  string `json:"detail,omitempty"` // of an effect, an error or a crash
	Place   string `json:"place,omitempty"`  // of an effect: a file and a line
	Key     string `json:"key,omitempty"`    // of an effect: the idempotency key that it sent
	Effect  string `json:"effect,omitempty"` // the kind of an effect, such as http

	TaskID int64 `json:"-"`
}

// Statement is a statement of a handler that has been run.
type Statement struct {
	Attempt int
	Number  int // in its attempt, counted from 1
	orchestration.TracedStatement
}

// recorder records a run.
type recorder struct {
	mu         sync.Mutex
	trace      []Entry
	events     []orchestration.Event
	statements map[string][]Statement
}

func (r *recorder) add(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trace = append(r.trace, e)
}

func (r *recorder) addStatement(step string, s Statement) {
	detail := ""
	if s.Err != nil {
		detail = s.Err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trace = append(r.trace, Entry{Kind: EntryStatement, Step: step, Attempt: s.Attempt, Number: s.Number, SQL: s.SQL, Detail: detail})
	if r.statements == nil {
		r.statements = map[string][]Statement{}
	}
	r.statements[step] = append(r.statements[step], s)
}

// addEvent adds an event, and the entry that it means.
func (r *recorder) addEvent(e orchestration.Event) {
	entry := Entry{Step: e.Step, Attempt: e.Attempt}
	switch e.Kind {
	case orchestration.EventStepCompleted:
		entry.Kind = EntryCommit
	case orchestration.EventStepRetrying, orchestration.EventStepFailed:
		entry.Kind = EntryFail
		if e.Err != nil {
			entry.Detail = e.Err.Error()
		}
	case orchestration.EventTaskEnded:
		entry.Kind = EntryEnd
		entry.Detail = string(e.TaskState)
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	if entry.Kind != "" {
		r.trace = append(r.trace, entry)
	}
}
