package templates

import (
	"encoding/json"
	"time"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Template is a checked task template. All its tasks share it, so never change
// it.
type Template struct {
	Namespace, Name, Version string
	Description              string
	// TaskHandlerClass is the Ruby constant of the task's own class, with
	// ModuleNamespace in front. It is "" when the template names none.
	TaskHandlerClass string
	ModuleNamespace  string
	// Concurrent says whether independent steps may run at the same time.
	Concurrent             bool
	DefaultDependentSystem string
	// Schema is the JSON Schema of the context, or nil.
	Schema json.RawMessage
	// HandlerConfig is a JSON object for the whole task. Steps do not inherit
	// it. It is {} when the template has none.
	HandlerConfig json.RawMessage
	CustomEvents  []CustomEvent
	// Queue is the queue of the template's tasks. A worker may serve some queues
	// only.
	Queue string
	// Keep says how long ended tasks are kept.
	Keep Keep

	// Steps holds the steps. Each comes after its parents; apart from that they
	// keep the order of the file.
	Steps []*Step

	// Environment is the name given to WithEnvironment, even if the file does
	// not mention it. Environments are the names in the file, in its order.
	// Neither is part of the encoding.
	Environment  string
	Environments []string
	// Warnings are what the file says and nothing reads. They are not part of the
	// encoding either.
	Warnings []Problem
	// Position is the place of the template's name. TaskHandlerPosition is the place of
	// its task's class, if it names one.
	Position, TaskHandlerPosition Position

	index     map[string]*Step
	ancestors ancestry
	schema    *contextSchema
}

// Step is one step of a Template. Never change it.
type Step struct {
	// Index is the place of the step in Template.Steps.
	Index       int
	Name        string
	Description string
	// HandlerClass is a Ruby constant path without a leading "::", or the name that
	// a handler is registered with, such as shop.validate_cart.
	HandlerClass string
	// HandlerMethod is the method of the handler that is called. It is "" when the
	// template names none.
	HandlerMethod   string
	DependentSystem string
	Retryable       bool
	// RetryLimit counts all attempts, the first one included.
	RetryLimit int
	Skippable  bool
	// HandlerConfig is a JSON object. It is {} when the template has none.
	// Numbers keep all their digits, and keys keep their order.
	HandlerConfig json.RawMessage
	CustomEvents  []CustomEvent
	// Published are the events that are published when an attempt of the step has ended.
	Published []PublishedEvent
	// Timeout is the time one attempt may take; 0 means the engine's default.
	Timeout     time.Duration
	Backoff     Backoff
	Transaction Transaction
	// Isolation is "" for the database's default.
	Isolation      Isolation
	ConcurrencyKey string
	// ConcurrencyLimit is how many attempts of steps with that key may run at
	// once. It is 0 without a key.
	ConcurrencyLimit int
	// KeepThreads lets the threads that the handler starts live on after the step.
	KeepThreads bool
	// RetryProgrammingErrors gives the step its other attempts also after an error in its
	// code, such as a NameError. Otherwise such an error ends it at once.
	RetryProgrammingErrors bool

	// Parents and Children are names of steps, in the order of Template.Steps.
	Parents, Children []string
	// Level is the length of the longest path from a root. A root has level 0.
	Level int

	// Position is the place of the step's name. HandlerPosition is the place of
	// its handler class.
	Position, HandlerPosition Position
}

// CustomEvent is an event that handlers publish by name.
type CustomEvent struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Transaction says when the database transaction of a step begins.
type Transaction string

// The values of Transaction.
const (
	// TransactionLazy begins it at the handler's first statement.
	TransactionLazy Transaction = "lazy"
	// TransactionAlways begins it before the handler runs.
	TransactionAlways Transaction = "always"
	// TransactionNone lets each statement of the handler commit by itself.
	TransactionNone Transaction = "none"
)

// Isolation is the isolation level of a step's transaction, in SQL's words.
type Isolation string

// The values of Isolation.
const (
	IsolationDefault         Isolation = ""
	IsolationReadUncommitted Isolation = "read uncommitted"
	IsolationReadCommitted   Isolation = "read committed"
	IsolationRepeatableRead  Isolation = "repeatable read"
	IsolationSerializable    Isolation = "serializable"
)

// ID returns namespace/name version. Messages name a template this way.
func (t *Template) ID() string {
	return t.Namespace + "/" + t.Name + " " + t.Version
}

// Step returns the step of that name, or nil.
func (t *Template) Step(name string) *Step { return t.index[name] }

// Roots returns the steps without parents.
func (t *Template) Roots() []*Step {
	var roots []*Step
	for _, s := range t.Steps {
		if len(s.Parents) == 0 {
			roots = append(roots, s)
		}
	}
	return roots
}

// Levels returns the steps by their Level. Steps of one level do not depend on
// each other.
func (t *Template) Levels() [][]*Step {
	var levels [][]*Step
	for _, s := range t.Steps {
		for len(levels) <= s.Level {
			levels = append(levels, nil)
		}
		levels[s.Level] = append(levels[s.Level], s)
	}
	return levels
}

// Ancestors returns every step that the named step depends on, directly or not,
// in the order of Steps. It returns nil for an unknown name.
func (t *Template) Ancestors(name string) []*Step {
	s := t.index[name]
	if s == nil {
		return nil
	}
	var found []*Step
	for i := range s.Index {
		if t.ancestors.has(s.Index, i) {
			found = append(found, t.Steps[i])
		}
	}
	return found
}

// DependsOn reports whether the step depends on the ancestor, directly or not.
func (t *Template) DependsOn(step, ancestor string) bool {
	s, a := t.index[step], t.index[ancestor]
	return s != nil && a != nil && t.ancestors.has(s.Index, a.Index)
}

// emptyObject is the HandlerConfig of a template or step that has none.
var emptyObject = json.RawMessage("{}")

func rawJSON(n *tree.Node) json.RawMessage { return n.AppendJSON(nil) }
