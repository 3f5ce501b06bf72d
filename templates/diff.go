package templates

import (
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Diff lists the differences between two templates. It writes one line for each
// value that was removed (-) or added (+), with the path to the value:
//
//   - step_templates.charge.default_retry_limit: 3
//   - step_templates.charge.default_retry_limit: 5
//
// It is empty exactly when the digests are the same. [Changes] is shorter, for people.
func Diff(before, after *Template) string {
	d := &differ{}
	d.compare("", byStep(before), byStep(after))
	return d.out.String()
}

// byStep returns the comparable form with the steps under their names, so that
// each line of the diff can name its step.
func byStep(t *Template) *tree.Node {
	n := t.comparable()
	m := n.Get("step_templates")
	steps := object()
	for _, s := range m.Value.Items {
		steps.set(textOf(s, "name"), s)
	}
	m.Value = steps.node
	return n
}

type differ struct{ out strings.Builder }

// compare walks two nodes. A nil node means that the value does not exist.
func (d *differ) compare(path string, before, after *tree.Node) {
	if before != nil && after != nil && before.Kind == tree.Object && after.Kind == tree.Object {
		d.members(path, before, after)
		return
	}
	old, now := lineOf(before), lineOf(after)
	if old == now {
		return
	}
	d.side("- ", path, before)
	d.side("+ ", path, after)
}

// members walks two objects side by side. Their keys are sorted.
func (d *differ) members(path string, before, after *tree.Node) {
	x, y := before.Members, after.Members
	for len(x) > 0 || len(y) > 0 {
		switch {
		case len(y) == 0 || len(x) > 0 && x[0].Key < y[0].Key:
			d.compare(under(path, x[0].Key), x[0].Value, nil)
			x = x[1:]
		case len(x) == 0 || y[0].Key < x[0].Key:
			d.compare(under(path, y[0].Key), nil, y[0].Value)
			y = y[1:]
		default:
			d.compare(under(path, x[0].Key), x[0].Value, y[0].Value)
			x, y = x[1:], y[1:]
		}
	}
}

// side writes a value. An object becomes one line for each of its members.
func (d *differ) side(mark, path string, n *tree.Node) {
	switch {
	case n == nil:
	case n.Kind == tree.Object && len(n.Members) > 0:
		for _, m := range n.Members {
			d.side(mark, under(path, m.Key), m.Value)
		}
	default:
		d.out.WriteString(mark + path + ": " + lineOf(n) + "\n")
	}
}

func lineOf(n *tree.Node) string {
	if n == nil {
		return ""
	}
	return string(n.AppendJSON(nil))
}

func under(path, key string) string {
	if !plainKey.MatchString(key) {
		key = string(tree.AppendString(nil, key))
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
