package templates

import (
	"slices"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// environments returns the environments of a document.
func environments(root *tree.Node, problems *collector) []tree.Member {
	m := root.Get("environments")
	if m == nil || m.Value.Kind == tree.Null {
		return nil
	}
	if m.Value.Kind != tree.Object {
		(&builder{problems: problems}).wrongType(*m, "a mapping")
		return nil
	}
	return m.Value.Members
}

// withoutEnvironments returns the document without its environments. It applies
// in an environment that the file does not mention.
func withoutEnvironments(root *tree.Node) *tree.Node {
	base := *root
	base.Members = slices.DeleteFunc(slices.Clone(root.Members), func(m tree.Member) bool {
		return m.Key == "environments"
	})
	return &base
}

// overlay applies an environment to the document. Mappings are merged key by
// key and steps by name. Everything else is replaced. Values keep their place in
// the file, so a problem found later points into the environment.
func overlay(base *tree.Node, env tree.Member, problems *collector) *tree.Node {
	b := &builder{problems: problems}
	if env.Value.Kind == tree.Null {
		return base
	}
	if !b.object(env) {
		return base
	}
	b.checkKeys(env.Value, environmentKeys, "an environment")
	known := keyNames(environmentKeys)
	merged := *base
	merged.Members = slices.Clone(base.Members)
	for _, m := range env.Value.Members {
		switch {
		case !slices.Contains(known, m.Key), m.Key == "step_overrides":
		case m.Key == "step_templates":
			overlaySteps(&merged, m, problems)
		default:
			overlayMember(&merged, m, false)
		}
	}
	// The older form is applied last, whatever the order in the file.
	if m := env.Value.Get("step_overrides"); m != nil && m.Value.Kind != tree.Null && b.object(*m) {
		for _, override := range m.Value.Members {
			if b.object(override) {
				overlayStep(&merged, override.Key, override, override.Value, problems)
			}
		}
	}
	return &merged
}

// overlaySteps applies environments.<name>.step_templates to the document's.
func overlaySteps(merged *tree.Node, m tree.Member, problems *collector) {
	b := &builder{problems: problems}
	first := make(map[string]*tree.Node)
	for _, item := range b.list(m) {
		element := tree.Member{Key: "a step of an environment", Value: item}
		if !b.object(element) {
			continue
		}
		name := item.Get("name")
		if name == nil {
			problems.at(item, "Add the name of the step that it changes.", "a step of an environment has no name")
			continue
		}
		if _, ok := b.label(*name); !ok {
			continue
		}
		if before := first[name.Value.Text]; before != nil {
			problems.at(name.Value, "Merge the two.", "the environment changes the step %q twice, first at %s",
				name.Value.Text, problems.position(before.Line, before.Column))
			continue
		}
		first[name.Value.Text] = name.Value
		place := tree.Member{Line: name.Value.Line, Column: name.Value.Column}
		overlayStep(merged, name.Value.Text, place, item, problems)
	}
}

// overlayStep changes one step of the document. place is the place of its name
// in the environment.
func overlayStep(merged *tree.Node, name string, place tree.Member, override *tree.Node, problems *collector) {
	steps := merged.Get("step_templates")
	if steps == nil || steps.Value.Kind != tree.Array {
		return
	}
	var names []string
	for i, step := range steps.Value.Items {
		own := step.Get("name")
		if own == nil || own.Value.Kind != tree.String {
			continue
		}
		names = append(names, own.Value.Text)
		if own.Value.Text != name {
			continue
		}
		changed := *step
		changed.Members = slices.Clone(step.Members)
		for _, m := range override.Members {
			if m.Key == "name" {
				if m.Value.Kind != tree.String || m.Value.Text != name {
					problems.key(m, "Remove the key.", "an environment cannot rename the step %q", name)
				}
				continue
			}
			overlayMember(&changed, m, false)
		}
		list := *steps.Value
		list.Items = slices.Clone(list.Items)
		list.Items[i] = &changed
		overlayMember(merged, tree.Member{Key: steps.Key, Line: steps.Line, Column: steps.Column, Value: &list}, false)
		return
	}
	problems.key(place, problems.suggestion(name, names, "An environment can change steps, not add them."),
		"the environment changes the step %q, which is not a step of this template", tree.Shorten(name))
}

// overlayMember sets a member of an object. Two mappings are merged. A null
// removes the key, so its default applies again. In free data (handler_config,
// schema) null is an ordinary value.
func overlayMember(object *tree.Node, m tree.Member, free bool) {
	i := slices.IndexFunc(object.Members, func(own tree.Member) bool { return own.Key == m.Key })
	switch {
	case m.Value.Kind == tree.Null && !free:
		if i >= 0 {
			object.Members = slices.Delete(object.Members, i, i+1)
		}
	case i < 0:
		object.Members = append(object.Members, m)
	case object.Members[i].Value.Kind == tree.Object && m.Value.Kind == tree.Object:
		both := *object.Members[i].Value
		both.Members = slices.Clone(both.Members)
		for _, inner := range m.Value.Members {
			overlayMember(&both, inner, free || m.Key == "handler_config" || m.Key == "schema")
		}
		object.Members[i].Value = &both
	default:
		object.Members[i] = m
	}
}
