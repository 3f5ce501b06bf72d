package templates

import (
	"strconv"
	"time"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// runTimeTypes are the types of steps that change the task while it runs, with
// what each does.
var runTimeTypes = map[string]string{
	"decision":             "it decides while the task runs which steps follow",
	"deferred_convergence": "it waits for steps that a decision chooses while the task runs",
	"batchable":            "it makes batches of steps while the task runs",
	"batch_worker":         "copies of it are made while the task runs",
}

const runTimeHint = "Steps that are made or chosen while a task runs are not there yet; they come in a later version."

// coreStep reads a step in Tasker Core's format. It returns nil when the step has
// no usable name.
func (b *builder) coreStep(n *tree.Node, i int, t *Template) *stepDraft {
	if n.Kind != tree.Object {
		b.wrongType(tree.Member{Key: "steps[" + strconv.Itoa(i) + "]", Value: n}, "a mapping")
		return nil
	}
	b.checkKeys(n, coreStepKeys, "a step")
	s := &Step{
		DependentSystem: t.DefaultDependentSystem,
		Skippable:       b.boolean(n.Get("skippable"), false),
		HandlerConfig:   emptyObject,
		Published:       b.publishedEvents(n.Get("publishes_events")),
		Transaction:     TransactionLazy,
		KeepThreads:     b.boolean(n.Get("keep_threads"), false),

		RetryProgrammingErrors: b.boolean(n.Get("retry_programming_errors"), false),
	}
	d := &stepDraft{step: s}
	who, named := b.stepName(n, d)
	b.coreHandler(n, s, who)
	b.coreType(n, who)
	b.coreRetry(n.Get("retry"), s)
	if m := n.Get("system_dependency"); m != nil {
		if system, ok := b.label(*m); ok {
			s.DependentSystem = system
		}
	}
	b.execution(n, s)
	b.unread(n, "lifecycle")
	b.unread(n, "result_schema")
	if m := b.either(n, "dependencies", "depends_on", "a step"); m != nil {
		d.parents = b.distinctParents(b.labels(*m), s.Name)
	}
	if !named {
		return nil
	}
	return d
}

func (b *builder) coreHandler(n *tree.Node, s *Step, who string) {
	m := n.Get("handler")
	if m == nil {
		if n.Get("handler_class") == nil { // which is reported, with the way to write it
			b.problems.at(n, "Add handler: {callable: NAME}.", "%s has no handler", who)
		}
		return
	}
	if m.Value.Kind == tree.String {
		callable := "NAME"
		if isHandlerName(m.Value.Text) {
			callable = tree.Shorten(m.Value.Text)
		}
		b.problems.at(m.Value, "Write handler: {callable: "+callable+"}.", "handler must be a mapping, found %s", m.Value.Describe())
		return
	}
	if !b.object(*m) {
		return
	}
	b.checkKeys(m.Value, coreHandlerKeys, "handler")
	if c := m.Value.Get("callable"); c != nil {
		b.handlerName(*c, s)
	} else {
		b.problems.key(*m, "Add callable: with the name of a Ruby class, or the name that the handler is registered with.", "the handler of %s has no callable", who)
	}
	b.handlerMethod(m.Value.Get("method"), s)
	if config := m.Value.Get("initialization"); config != nil && b.object(*config) {
		s.HandlerConfig = rawJSON(config.Value)
	}
	if r := m.Value.Get("resolver"); r != nil {
		b.problems.key(*r, "Write the handler's own name as its callable, and remove resolver.",
			"%s has a resolver, which may find another handler than the one named; there are no resolvers here", who)
	}
}

// coreType refuses the steps whose type needs what is not there.
func (b *builder) coreType(n *tree.Node, who string) {
	refused := false
	if m := b.either(n, "type", "step_type", "a step"); m != nil {
		why := runTimeTypes[m.Value.Text]
		if refused = why != "" && m.Value.Kind == tree.String; refused {
			b.problems.runTime(m.Value.Line, m.Value.Column, "%s is of the type %s: %s", who, m.Value.Text, why)
		} else {
			oneOf(b, *m, "", "standard")
		}
	}
	if m := n.Get("batch_config"); m != nil && !refused {
		b.problems.runTime(m.Line, m.Column, "%s has a batch_config: its batches are made while the task runs", who)
	}
	if m := n.Get("composition"); m != nil {
		b.problems.key(*m, "Write a handler that does it.", "%s has a composition, which would run in place of its handler", who)
	}
}

// either returns the one of two keys that mean the same.
func (b *builder) either(n *tree.Node, word, synonym, what string) *tree.Member {
	m, other := n.Get(word), n.Get(synonym)
	switch {
	case other == nil:
		return m
	case m == nil:
		return other
	}
	b.problems.key(*other, "Keep "+word+".", "%s has %s and %s, which mean the same", what, word, synonym)
	return m
}

// coreRetry reads the retry mapping of a step.
func (b *builder) coreRetry(m *tree.Member, s *Step) {
	s.Retryable, s.RetryLimit = true, defaultRetryLimit
	// Min is 0, because this format always says the wait.
	s.Backoff = Backoff{Curve: CurveExponential, Base: time.Second, Max: 30 * time.Second, Jitter: DefaultBackoff().Jitter}
	if m == nil || !b.object(*m) {
		return
	}
	n := m.Value
	b.checkKeys(n, coreRetryKeys, "retry")
	s.Retryable = b.boolean(n.Get("retryable"), true)
	s.RetryLimit = b.integer(b.either(n, "max_attempts", "limit", "retry"), defaultRetryLimit, 0, maxRetryLimit)
	if v := n.Get("backoff"); v != nil {
		if v.Value.Kind == tree.String && v.Value.Text == "fibonacci" {
			b.problems.at(v.Value, "Write exponential or linear.", "there is no fibonacci backoff here, nor in the engine of Tasker Core")
		} else {
			s.Backoff.Curve = oneOf(b, *v, s.Backoff.Curve, CurveNone, CurveLinear, CurveExponential)
		}
	}
	base := b.either(n, "backoff_base_ms", "initial_delay", "retry")
	limit := b.either(n, "max_backoff_ms", "max_delay", "retry")
	if base != nil {
		s.Backoff.Base = b.delay(*base)
	}
	switch {
	case limit == nil:
		s.Backoff.Max = max(s.Backoff.Max, s.Backoff.Base)
	default:
		s.Backoff.Max = b.delay(*limit)
		if s.Backoff.Base <= s.Backoff.Max {
			break
		}
		if base == nil {
			s.Backoff.Base = s.Backoff.Max
			break
		}
		b.problems.at(limit.Value, "Raise "+limit.Key+" or lower "+base.Key+".", "%s (%s) is below %s (%s)",
			limit.Key, s.Backoff.Max, base.Key, s.Backoff.Base)
	}
}

// delay reads a wait. The keys that end in _ms are in milliseconds, the others in
// seconds.
func (b *builder) delay(m tree.Member) time.Duration {
	if m.Key == "backoff_base_ms" || m.Key == "max_backoff_ms" {
		return time.Duration(b.integer(&m, 0, 0, int(maxWait.Milliseconds()))) * time.Millisecond
	}
	return b.seconds(m, 0, maxWait)
}
