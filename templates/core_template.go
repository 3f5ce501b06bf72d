package templates

import (
	"strconv"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

const (
	defaultCoreVersion = "1.0.0"
	defaultCoreSystem  = "default"
)

// describes is the hint of a warning about a key that only describes.
const describes = "It only describes the template. It may stay."

// coreTemplate reads a template in Tasker Core's format.
func (b *builder) coreTemplate(root *tree.Node) *Template {
	t := &Template{
		Namespace:              defaultNamespace,
		Version:                defaultCoreVersion,
		Concurrent:             b.boolean(root.Get("concurrent"), true),
		DefaultDependentSystem: defaultCoreSystem,
		HandlerConfig:          emptyObject,
		Queue:                  defaultQueue,
	}
	b.identity(root, t)
	if m := root.Get("description"); m != nil {
		t.Description, _ = b.text(*m)
	}
	if m := root.Get("task_handler"); m != nil && b.object(*m) {
		b.coreTaskHandler(m.Value, t)
	}
	if m := root.Get("system_dependencies"); m != nil && b.object(*m) {
		b.coreSystems(m.Value, t)
	}
	t.CustomEvents = b.coreEvents(root.Get("domain_events"))
	if m := root.Get("input_schema"); m != nil && b.object(*m) {
		t.Schema = rawJSON(m.Value)
		t.schema = b.compile(*m)
	}
	if m := root.Get("queue"); m != nil {
		t.Queue = b.queue(*m)
	}
	if m := root.Get("keep"); m != nil {
		t.Keep = b.keep(*m)
	}
	for _, key := range []string{"metadata", "lifecycle", "loaded_from"} {
		b.unread(root, key)
	}
	b.steps(root, t, b.coreStep)
	return t
}

// unread warns about a key that nothing reads. An empty value says nothing.
func (b *builder) unread(n *tree.Node, key string) {
	if m := n.Get(key); m != nil && !isEmpty(m.Value) {
		hint := describes
		if key == "lifecycle" {
			hint = "Set timeout_seconds: of the steps to limit their time."
		}
		b.problems.warn(key, *m, hint, "nothing reads %s", key)
	}
}

func isEmpty(n *tree.Node) bool {
	return n.Kind == tree.Null || n.Kind == tree.Array && len(n.Items) == 0 || n.Kind == tree.Object && len(n.Members) == 0
}

func (b *builder) coreTaskHandler(n *tree.Node, t *Template) {
	b.checkKeys(n, coreTaskHandlerKeys, "task_handler")
	if m := n.Get("callable"); m != nil {
		if m.Value.Kind == tree.String && registeredPattern.MatchString(m.Value.Text) {
			b.problems.warn("task_handler", *m, "Remove it, or write the name of a Ruby class.",
				"nothing calls the task_handler %q: it is not the name of a Ruby class", tree.Shorten(m.Value.Text))
		} else {
			t.TaskHandlerClass = b.constant(*m)
			t.TaskHandlerPosition = b.problems.position(m.Value.Line, m.Value.Column)
		}
	}
	if m := n.Get("initialization"); m != nil && b.object(*m) {
		t.HandlerConfig = rawJSON(m.Value)
	}
}

func (b *builder) coreSystems(n *tree.Node, t *Template) {
	b.checkKeys(n, coreSystemKeys, "system_dependencies")
	if m := n.Get("primary"); m != nil {
		if system, ok := b.label(*m); ok {
			t.DefaultDependentSystem = system
		}
	}
	if m := n.Get("secondary"); m != nil {
		if b.labels(*m); m.Value.Kind == tree.Array {
			b.unread(n, "secondary")
		}
	}
}

// coreEvents reads domain_events of the template. Handlers may publish these events by name.
// An event is a name, or a mapping.
func (b *builder) coreEvents(m *tree.Member) []CustomEvent {
	if m == nil {
		return nil
	}
	var events []CustomEvent
	first := make(map[string]*tree.Node)
	for i, item := range b.list(*m) {
		name := &tree.Member{Key: m.Key + "[" + strconv.Itoa(i) + "]", Value: item}
		var event CustomEvent
		if item.Kind == tree.Object {
			b.checkKeys(item, coreEventKeys, "an event")
			if d := item.Get("description"); d != nil {
				event.Description, _ = b.text(*d)
			}
			if name = item.Get("name"); name == nil {
				b.problems.at(item, "Add a name.", "%s[%d] has no name", m.Key, i)
				continue
			}
		}
		if b.nameEvent(&event, *name, first) {
			events = append(events, event)
		}
	}
	if len(events) > 0 {
		b.problems.warn(m.Key, *m, "Publish them in the handlers.",
			"%s only says which events handlers may publish; nothing publishes them by itself or checks them", m.Key)
	}
	return events
}
