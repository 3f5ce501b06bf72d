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
func (b *builder) overlay(base *tree.Node, env tree.Member) *tree.Node {
	if env.Value.Kind == tree.Null {
		return base
	}
	if !b.object(env) {
		return base
	}
	b.checkKeys(env.Value, b.format.environment, "an environment")
	known := keyNames(b.format.environment)
	merged := *base
	merged.Members = slices.Clone(base.Members)
	for _, m := range env.Value.Members {
		switch {
		case !slices.Contains(known, m.Key), m.Key == "step_overrides":
		case m.Key == b.format.list:
			b.overlaySteps(&merged, m)
		default:
			b.overlayMember(&merged, m, false)
		}
	}
	// The older form is applied last, whatever the order in the file.
	if m := env.Value.Get("step_overrides"); m != nil && m.Value.Kind != tree.Null && b.object(*m) {
		for _, override := range m.Value.Members {
			if b.object(override) {
				b.overlayStep(&merged, override.Key, override, override.Value)
			}
		}
	}
	return &merged
}

// overlaySteps applies the steps of an environment to the document's.
func (b *builder) overlaySteps(merged *tree.Node, m tree.Member) {
	problems := b.problems
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
		b.overlayStep(merged, name.Value.Text, place, item)
	}
}

// overlayStep changes one step of the document. place is the place of its name
// in the environment. Some formats have a name that stands for every step.
func (b *builder) overlayStep(merged *tree.Node, name string, place tree.Member, override *tree.Node) {
	problems := b.problems
	steps := merged.Get(b.format.list)
	if steps == nil || steps.Value.Kind != tree.Array {
		return
	}
	all := b.format.everyStep != "" && name == b.format.everyStep
	list := *steps.Value
	list.Items = slices.Clone(list.Items)
	var names []string
	found := all
	for i, step := range list.Items {
		own := step.Get("name")
		if own == nil || own.Value.Kind != tree.String {
			continue
		}
		names = append(names, own.Value.Text)
		if found && !all || !all && own.Value.Text != name {
			continue
		}
		found = true
		changed := *step
		changed.Members = slices.Clone(step.Members)
		b.dropSynonyms(&changed, override)
		for _, m := range override.Members {
			if m.Key == "name" {
				if m.Value.Kind != tree.String || m.Value.Text != name {
					problems.key(m, "Remove the key.", "an environment cannot rename the step %q", name)
				}
				continue
			}
			b.overlayMember(&changed, m, false)
		}
		list.Items[i] = &changed
	}
	if found {
		b.overlayMember(merged, tree.Member{Key: steps.Key, Line: steps.Line, Column: steps.Column, Value: &list}, false)
		return
	}
	problems.key(place, problems.suggestion(name, names, "An environment can change steps, not add them."),
		"the environment changes the step %q, which is not a step of this template", tree.Shorten(name))
}

// overlayMember sets a member of an object. Two mappings are merged. A null
// removes the key, so its default applies again. In free data (handler_config,
// schema and the like) null is an ordinary value.
func (b *builder) overlayMember(object *tree.Node, m tree.Member, free bool) {
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
		free = free || slices.Contains(b.format.free, m.Key)
		if !free {
			b.dropSynonyms(&both, m.Value)
		}
		for _, inner := range m.Value.Members {
			b.overlayMember(&both, inner, free)
		}
		object.Members[i].Value = &both
	default:
		object.Members[i] = m
	}
}
