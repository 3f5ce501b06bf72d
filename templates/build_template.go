package templates

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

const (
	defaultNamespace       = "default"
	defaultVersion         = "0.1.0"
	defaultDependentSystem = "unknown"
	defaultQueue           = "default"
	defaultRetryLimit      = 3
	// maxRetryLimit is far above any useful value. It catches a value in the
	// wrong unit.
	maxRetryLimit = 10_000

	defaultConcurrencyLimit = 1
	maxConcurrencyLimit     = 10_000
)

// builder makes a Template from a document whose environment is already merged.
type builder struct {
	problems *collector
	// schemas holds the compiled schemas. The environments of a file mostly
	// share one, so it is compiled once.
	schemas map[*tree.Node]*contextSchema
	// stored says that the document was accepted before, perhaps by an earlier
	// version of this program. Checks that only concern new tasks are skipped,
	// so that running tasks do not fail because of them.
	stored bool
	// format is the format of the document.
	format *format
	// readable are the steps of the latest build whose handlers could be read.
	readable []*Step
}

// build returns the Template. It is valid only if build reported no problem.
func (b *builder) build(root *tree.Node) *Template {
	b.readable = nil
	b.checkKeys(root, b.format.template, "a template")
	if b.format == coreFormat {
		return b.coreTemplate(root)
	}
	t := &Template{
		Namespace:              defaultNamespace,
		Version:                defaultVersion,
		Concurrent:             b.boolean(root.Get("concurrent"), true),
		DefaultDependentSystem: defaultDependentSystem,
		HandlerConfig:          emptyObject,
		Queue:                  defaultQueue,
	}
	b.identity(root, t)
	if m := root.Get("description"); m != nil {
		t.Description, _ = b.text(*m)
	}
	if m := root.Get("default_dependent_system"); m != nil {
		if system, ok := b.label(*m); ok {
			t.DefaultDependentSystem = system
		}
	}
	if m := root.Get("module_namespace"); m != nil {
		t.ModuleNamespace = b.constant(*m)
	}
	if m := root.Get("task_handler_class"); m != nil {
		t.TaskHandlerClass = b.constant(*m)
		t.TaskHandlerPosition = b.problems.position(m.Value.Line, m.Value.Column)
		if t.ModuleNamespace != "" && t.TaskHandlerClass != "" {
			t.TaskHandlerClass = t.ModuleNamespace + "::" + t.TaskHandlerClass
		}
	}
	if m := root.Get("handler_config"); m != nil && b.object(*m) {
		t.HandlerConfig = rawJSON(m.Value)
	}
	t.CustomEvents = b.customEvents(root.Get("custom_events"))
	if m := root.Get("queue"); m != nil {
		t.Queue = b.queue(*m)
	}
	if m := root.Get("keep"); m != nil {
		t.Keep = b.keep(*m)
	}
	if m := root.Get("schema"); m != nil && b.object(*m) {
		t.Schema = rawJSON(m.Value)
		t.schema = b.compile(*m)
	}
	b.steps(root, t, b.step)
	return t
}

// identity reads the name, the namespace and the version.
func (b *builder) identity(root *tree.Node, t *Template) {
	if m := root.Get("name"); m != nil {
		t.Name, _ = b.label(*m)
		t.Position = b.problems.position(m.Value.Line, m.Value.Column)
	} else {
		b.problems.at(root, "Add a line name: with the name of the task.", "the template has no name")
	}
	if m := root.Get("namespace_name"); m != nil {
		if namespace, ok := b.label(*m); ok {
			t.Namespace = namespace
		}
	}
	if m := root.Get("version"); m != nil {
		b.version(*m, t)
	}
}

var shortVersion = regexp.MustCompile(`^v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?$`)

func (b *builder) version(m tree.Member, t *Template) {
	text := m.Value.Text
	if m.Value.Kind == tree.String {
		if _, err := semver.StrictNewVersion(text); err == nil && len(text) <= maxNameRunes {
			t.Version = text
			return
		}
	}
	hint := "Write three numbers, such as 1.0.0."
	if parts := shortVersion.FindStringSubmatch(m.Value.Source); parts != nil {
		for i, part := range parts[1:] {
			parts[i+1] = strings.TrimLeft(part, "0")
			if parts[i+1] == "" {
				parts[i+1] = "0"
			}
		}
		hint = "Write " + strings.Join(parts[1:], ".") + "."
	}
	b.problems.at(m.Value, hint, "version must be a semantic version, found %s", m.Value.Describe())
}

// nameEvent reads the name of an event. first has the place of each name so far; a second
// event of a name is a problem.
func (b *builder) nameEvent(event *CustomEvent, name tree.Member, first map[string]*tree.Node) bool {
	var ok bool
	if event.Name, ok = b.label(name); !ok {
		return false
	}
	if before := first[event.Name]; before != nil {
		b.problems.at(name.Value, "Remove one of the two.", "the event %q is given twice, first at %s",
			event.Name, b.problems.position(before.Line, before.Column))
		return false
	}
	first[event.Name] = name.Value
	return true
}

// customEvents reads the events of a template or of a step.
func (b *builder) customEvents(m *tree.Member) []CustomEvent {
	if m == nil {
		return nil
	}
	var events []CustomEvent
	first := make(map[string]*tree.Node)
	for i, item := range b.list(*m) {
		element := tree.Member{Key: "custom_events[" + strconv.Itoa(i) + "]", Value: item}
		if !b.object(element) {
			continue
		}
		b.checkKeys(item, customEventKeys, "a custom event")
		var event CustomEvent
		if d := item.Get("description"); d != nil {
			event.Description, _ = b.text(*d)
		}
		name := item.Get("name")
		if name == nil {
			b.problems.at(item, "Add a name.", "%s has no name", element.Key)
			continue
		}
		if b.nameEvent(&event, *name, first) {
			events = append(events, event)
		}
	}
	return events
}
