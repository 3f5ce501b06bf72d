package templates

import "github.com/tasker-rb/tasker-rb/templates/internal/tree"

// stepsByTheirName reports steps: that have the keys of step_templates:. It returns the
// document with the right name, so that what else is wrong is reported in one format.
func stepsByTheirName(root *tree.Node, problems *collector) *tree.Node {
	steps := root.Get(coreFormat.list)
	if steps == nil || root.Get(engineFormat.list) != nil || !areEngineSteps(steps.Value) {
		return root
	}
	problems.place(steps.Line, steps.Column, "Write step_templates: for steps:. In a template with steps:, which is Tasker Core's format, a step has handler: {callable: NAME}.",
		"the steps below steps: have handler_class:, which belongs to step_templates:")
	return mapMembers(root, func(object *tree.Node, m tree.Member) (tree.Member, walk) {
		if m.Key == coreFormat.list {
			m.Key = engineFormat.list
		}
		return m, walkPast
	})
}

// areEngineSteps reports whether a step has handler_class: and none has handler:.
func areEngineSteps(list *tree.Node) bool {
	found := false
	for _, step := range list.Items {
		if step.Get("handler") != nil {
			return false
		}
		found = found || step.Get("handler_class") != nil
	}
	return found
}
