package templates

import (
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// format is one of the formats that a template file may have. A stored template
// always has engineFormat.
type format struct {
	// list is the key of the steps. It tells the formats apart.
	list string
	// template, step and environment are the keys of these mappings.
	template, step, environment []key
	// foreign has a hint for each key of the other format.
	foreign map[string]string
	// otherWords are the words of other job systems, by the mapping that they are in.
	otherWords map[string][]otherWords
	// free are the keys of free data.
	free []string
	// synonyms are pairs of keys that mean the same.
	synonyms [][2]string
	// everyStep is the name that stands for all steps in an environment, or "".
	everyStep string
	// nullIsNothing says that a key without a value counts as left out, in an
	// environment as well.
	nullIsNothing bool
}

// engineFormat is the format of tasker-engine, with the keys that this program
// added to it.
var engineFormat = &format{
	list:     "step_templates",
	template: templateKeys, step: stepKeys, environment: environmentKeys,
	foreign: map[string]string{
		"dependencies":        "In a template with step_templates: it is depends_on_steps:.",
		"depends_on":          "In a template with step_templates: it is depends_on_steps:.",
		"domain_events":       "In a template with step_templates: it is custom_events:.",
		"handler":             "In a template with step_templates: it is handler_class:, handler_method: and handler_config:.",
		"input_schema":        "In a template with step_templates: it is schema:.",
		"retry":               "In a template with step_templates: it is default_retryable:, default_retry_limit: and backoff:.",
		"system_dependencies": "In a template with step_templates: it is default_dependent_system:.",
		"system_dependency":   "In a template with step_templates: it is dependent_system:.",
		"task_handler":        "In a template with step_templates: it is task_handler_class: and handler_config:.",
	},
	otherWords: engineWords,
	free:       []string{"handler_config", "schema"},
}

// coreFormat is the format of Tasker Core.
var coreFormat = &format{
	list:     "steps",
	template: coreTemplateKeys, step: coreStepKeys, environment: coreEnvironmentKeys,
	foreign: map[string]string{
		"custom_events":            "In a template with steps: it is domain_events: of the template and publishes_events: of a step.",
		"default_dependent_system": "In a template with steps: it is system_dependencies: {primary: NAME}.",
		"default_retry_limit":      "In a template with steps: it is retry: {max_attempts: N}.",
		"default_retryable":        "In a template with steps: it is retry: {retryable: false}.",
		"dependent_system":         "In a template with steps: it is system_dependency:.",
		"depends_on_step":          "In a template with steps: it is dependencies:, a list.",
		"depends_on_steps":         "In a template with steps: it is dependencies:.",
		"handler_class":            "In a template with steps: it is handler: {callable: NAME}.",
		"handler_config":           "In a template with steps: it is initialization:, in handler: or in task_handler:.",
		"handler_method":           "In a template with steps: it is handler: {callable: NAME, method: NAME}.",
		"module_namespace":         "Write the callable in full.",
		"named_steps":              "Remove it: the names of the steps are enough.",
		"schema":                   "In a template with steps: it is input_schema:.",
		"step_overrides":           "In a template with steps: it is steps:, a list of mappings with a name.",
		"step_templates":           "A template has steps: or step_templates:. Keep one of the two, with the keys of its format.",
		"task_handler_class":       "In a template with steps: it is task_handler: {callable: NAME}.",
	},
	otherWords:    coreWords,
	free:          []string{"initialization", "input_schema", "schema", "result_schema", "metadata", "composition"},
	synonyms:      coreSynonyms,
	everyStep:     "ALL",
	nullIsNothing: true,
}

// formatOf returns the format of a document. The key of the steps tells it, and
// if there is none, any other key that only one format has.
func formatOf(root *tree.Node) *format {
	switch {
	case root.Get(coreFormat.list) != nil:
		return coreFormat
	case root.Get(engineFormat.list) != nil:
		return engineFormat
	}
	for _, key := range []string{"input_schema", "task_handler", "domain_events", "system_dependencies"} {
		if root.Get(key) != nil {
			return coreFormat
		}
	}
	return engineFormat
}

// withoutSymbols takes the colon from keys such as :name, if the document has
// such keys. Ruby writes them when it dumps a template whose keys are Symbols.
func withoutSymbols(root *tree.Node) *tree.Node {
	if root.Get(":name") == nil {
		return root
	}
	return mapMembers(root, func(object *tree.Node, m tree.Member) (tree.Member, walk) {
		if name, symbol := strings.CutPrefix(m.Key, ":"); symbol && name != "" && object.Get(name) == nil {
			m.Key = name
		}
		return m, walkInto
	})
}

// withoutNulls leaves out the keys that have no value, except in free data. The
// name of an environment stays.
func withoutNulls(root *tree.Node, f *format) *tree.Node {
	environments := root.Get("environments")
	return mapMembers(root, func(object *tree.Node, m tree.Member) (tree.Member, walk) {
		switch {
		case slices.Contains(f.free, m.Key):
			if m.Value.Kind == tree.Null {
				return m, walkDrop
			}
			return m, walkPast
		case m.Value.Kind == tree.Null && (environments == nil || object != environments.Value):
			return m, walkDrop
		}
		return m, walkInto
	})
}

// walk says what mapMembers does with a member.
type walk int

const (
	walkInto walk = iota
	walkPast
	walkDrop
)

// mapMembers copies a tree. change changes each member of its mappings.
func mapMembers(n *tree.Node, change func(object *tree.Node, m tree.Member) (tree.Member, walk)) *tree.Node {
	c := *n
	c.Items = make([]*tree.Node, len(n.Items))
	for i, item := range n.Items {
		c.Items[i] = mapMembers(item, change)
	}
	c.Members = make([]tree.Member, 0, len(n.Members))
	for _, m := range n.Members {
		m, how := change(n, m)
		if how == walkDrop {
			continue
		}
		if how == walkInto {
			m.Value = mapMembers(m.Value, change)
		}
		c.Members = append(c.Members, m)
	}
	return &c
}

// dropSynonyms removes the keys of an object that an override says with another
// word.
func (b *builder) dropSynonyms(object, override *tree.Node) {
	for _, pair := range b.format.synonyms {
		for i, word := range pair {
			if override.Get(word) != nil {
				object.Members = slices.DeleteFunc(object.Members, func(m tree.Member) bool { return m.Key == pair[1-i] })
			}
		}
	}
}
