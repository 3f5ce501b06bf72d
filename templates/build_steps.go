package templates

import (
	"strconv"
	"strings"
	"time"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// stepDraft is a step as it was read. Its dependencies are still names.
type stepDraft struct {
	step *Step
	name *tree.Node
	// parents are the nodes that name the parents, each name once.
	parents []*tree.Node
}

// steps reads the list of steps, checks the dependencies, and puts the steps in
// order. read reads one step.
func (b *builder) steps(root *tree.Node, t *Template, read func(*tree.Node, int, *Template) *stepDraft) {
	list := b.format.list
	m := root.Get(list)
	if m == nil {
		b.problems.at(root, "Add "+list+": with a list of steps.", "the template has no %s", list)
		return
	}
	items := b.list(*m)
	if m.Value.Kind == tree.Array && len(items) == 0 {
		b.problems.at(m.Value, "Add a step.", "%s is empty", list)
	}
	var drafts []*stepDraft
	first := make(map[string]*tree.Node)
	complete := true
	for i, item := range items {
		d := read(item, i, t)
		if d == nil {
			complete = false
			continue
		}
		if before := first[d.step.Name]; before != nil {
			b.problems.at(d.name, "Rename one of the two.", "the step %q is given twice, first at %s",
				d.step.Name, b.problems.position(before.Line, before.Column))
			continue
		}
		first[d.step.Name] = d.name
		drafts = append(drafts, d)
	}
	b.namedSteps(root.Get("named_steps"), drafts, complete)
	t.Steps = b.order(drafts, complete)
	if t.Steps != nil {
		t.link()
	}
}

// step reads one step. It returns nil when the step has no usable name.
func (b *builder) step(n *tree.Node, i int, t *Template) *stepDraft {
	if n.Kind != tree.Object {
		b.wrongType(tree.Member{Key: "step_templates[" + strconv.Itoa(i) + "]", Value: n}, "a mapping")
		return nil
	}
	b.checkKeys(n, stepKeys, "a step")
	s := &Step{
		DependentSystem: t.DefaultDependentSystem,
		Retryable:       b.boolean(n.Get("default_retryable"), true),
		RetryLimit:      b.integer(n.Get("default_retry_limit"), defaultRetryLimit, 0, maxRetryLimit),
		Skippable:       b.boolean(n.Get("skippable"), false),
		HandlerConfig:   emptyObject,
		CustomEvents:    b.customEvents(n.Get("custom_events")),
		Published:       b.publishedEvents(n.Get("publishes_events")),
		Backoff:         b.readBackoff(n.Get("backoff")),
		Transaction:     TransactionLazy,
		KeepThreads:     b.boolean(n.Get("keep_threads"), false),

		RetryProgrammingErrors: b.boolean(n.Get("retry_programming_errors"), false),
	}
	d := &stepDraft{step: s}
	who, named := b.stepName(n, d)
	if m := n.Get("handler_class"); m != nil {
		b.handlerName(*m, s)
	} else {
		b.problems.at(n, "Add handler_class: with the name of a Ruby class.", "%s has no handler_class", who)
	}
	b.handlerMethod(n.Get("handler_method"), s)
	if m := n.Get("dependent_system"); m != nil {
		if system, ok := b.label(*m); ok {
			s.DependentSystem = system
		}
	}
	if m := n.Get("handler_config"); m != nil && b.object(*m) {
		s.HandlerConfig = rawJSON(m.Value)
	}
	b.execution(n, s)
	d.parents = b.parents(n, s.Name)
	if !named {
		return nil
	}
	return d
}

// stepWords names a step in messages. A name that cannot be used is empty.
func stepWords(name string) string {
	if name == "" {
		return "the step"
	}
	return "the step " + strconv.Quote(tree.Shorten(name))
}

// stepName reads the name and the description of a step. who names the step in
// messages. named says whether the name can be used.
func (b *builder) stepName(n *tree.Node, d *stepDraft) (who string, named bool) {
	s := d.step
	who = "the step"
	if m := n.Get("name"); m != nil {
		d.name = m.Value
		s.Name, named = b.label(*m)
		s.Position = b.problems.position(m.Value.Line, m.Value.Column)
		who = stepWords(s.Name)
	} else {
		b.problems.at(n, "Add a name.", "the step has no name")
	}
	s.Description = s.Name
	if m := n.Get("description"); m != nil {
		if text, ok := b.text(*m); ok {
			s.Description = text
		}
	}
	return who, named
}

// execution reads the keys that tell the engine how to run the step.
func (b *builder) execution(n *tree.Node, s *Step) {
	if m := n.Get("timeout_seconds"); m != nil {
		s.Timeout = b.seconds(*m, time.Nanosecond, maxTimeout)
	}
	if m := n.Get("transaction"); m != nil {
		s.Transaction = oneOf(b, *m, s.Transaction, TransactionLazy, TransactionAlways, TransactionNone)
	}
	if m := n.Get("isolation"); m != nil {
		spelled := *m
		if m.Value.Kind == tree.String {
			// People also write read_committed and READ COMMITTED.
			value := *m.Value
			value.Text = strings.ToLower(strings.NewReplacer("_", " ", "-", " ").Replace(value.Text))
			spelled.Value = &value
		}
		s.Isolation = oneOf(b, spelled, IsolationDefault,
			IsolationReadUncommitted, IsolationReadCommitted, IsolationRepeatableRead, IsolationSerializable)
		if s.Transaction == TransactionNone && s.Isolation != IsolationDefault {
			b.problems.at(m.Value, "Remove isolation, or transaction: none.",
				"%s asks for an isolation level and for no transaction", stepWords(s.Name))
		}
	}
	if m := n.Get("concurrency_key"); m != nil {
		s.ConcurrencyKey, _ = b.label(*m)
		s.ConcurrencyLimit = b.integer(n.Get("concurrency_limit"), defaultConcurrencyLimit, 1, maxConcurrencyLimit)
	} else if m := n.Get("concurrency_limit"); m != nil {
		b.problems.key(*m, "Add concurrency_key: with a name that the steps of this limit share, or remove it.",
			"%s has a concurrency_limit and no concurrency_key", stepWords(s.Name))
	}
}

// parents merges depends_on_step and depends_on_steps.
func (b *builder) parents(n *tree.Node, name string) []*tree.Node {
	var named []*tree.Node
	if m := n.Get("depends_on_step"); m != nil {
		switch _, ok := b.label(*m); {
		case ok:
			named = append(named, m.Value)
		case m.Value.Kind == tree.Array:
			b.problems.key(*m, "Rename the key to depends_on_steps.", "depends_on_step takes one name")
		}
	}
	if m := n.Get("depends_on_steps"); m != nil {
		named = append(named, b.labels(*m)...)
	}
	return b.distinctParents(named, name)
}

// distinctParents returns each parent of a step once.
func (b *builder) distinctParents(named []*tree.Node, name string) []*tree.Node {
	var parents []*tree.Node
	seen := make(map[string]bool)
	for _, p := range named {
		switch {
		case name != "" && p.Text == name:
			b.problems.at(p, "Remove it.", "the step %q depends on itself", name)
		case !seen[p.Text]:
			seen[p.Text] = true
			parents = append(parents, p)
		}
	}
	return parents
}

// namedSteps checks that the list of names and the steps agree.
func (b *builder) namedSteps(m *tree.Member, drafts []*stepDraft, complete bool) {
	if m == nil {
		return
	}
	listed := make(map[string]*tree.Node)
	var names []string
	labels := b.labels(*m)
	for _, n := range labels {
		if before := listed[n.Text]; before != nil {
			b.problems.at(n, "Remove one of the two.", "named_steps has %q twice, first at %s",
				n.Text, b.problems.position(before.Line, before.Column))
			continue
		}
		listed[n.Text] = n
		names = append(names, n.Text)
	}
	if m.Value.Kind != tree.Array || len(labels) != len(m.Value.Items) {
		return
	}
	var steps []string
	have := make(map[string]bool)
	for _, d := range drafts {
		steps = append(steps, d.step.Name)
		have[d.step.Name] = true
		if listed[d.step.Name] == nil {
			b.problems.at(d.name, b.problems.suggestion(d.step.Name, names, "Add it to named_steps, or remove named_steps."),
				"the step %q is not in named_steps", d.step.Name)
		}
	}
	for _, name := range names {
		if complete && !have[name] {
			b.problems.at(listed[name], b.problems.suggestion(name, steps, "Remove it, or add the step."),
				"named_steps has %q, which no step_templates define", name)
		}
	}
}
