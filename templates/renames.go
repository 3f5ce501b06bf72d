package templates

import (
	"slices"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// renames finds the steps that have another name in the later template: what is gone, and
// what is new and has the same handler, or is the same in all but its name. It returns the
// later names by the earlier ones. Where several steps would fit, it finds none.
func renames(before, after *Template) map[string]string {
	r := &renaming{names: map[string]string{}}
	for _, s := range before.Steps {
		if after.Step(s.Name) == nil {
			r.gone = append(r.gone, s)
		}
	}
	for _, s := range after.Steps {
		if before.Step(s.Name) == nil {
			r.fresh = append(r.fresh, s)
		}
	}
	same := func(x, y *Step) bool { return x.body() == y.body() }
	handler := func(x, y *Step) bool { return x.HandlerClass == y.HandlerClass && x.HandlerMethod == y.HandlerMethod }
	for _, fits := range []func(x, y *Step) bool{same, handler} {
		r.pair(func(x, y *Step) bool { return fits(x, y) && r.sameParents(x, y) })
		r.pair(fits)
	}
	return r.names
}

type renaming struct {
	gone, fresh []*Step
	names       map[string]string
}

// pair takes the steps for each other that fit no others.
func (r *renaming) pair(fits func(x, y *Step) bool) {
	for again := true; again; {
		again = false
		for _, x := range r.gone {
			y := only(r.fresh, func(y *Step) bool { return fits(x, y) })
			if y == nil || only(r.gone, func(z *Step) bool { return fits(z, y) }) == nil {
				continue
			}
			r.names[x.Name] = y.Name
			r.gone = slices.DeleteFunc(slices.Clone(r.gone), func(s *Step) bool { return s == x })
			r.fresh = slices.DeleteFunc(slices.Clone(r.fresh), func(s *Step) bool { return s == y })
			again = true
		}
	}
}

// only returns the one step that fits, or nil if none or several do.
func only(steps []*Step, fits func(*Step) bool) (found *Step) {
	for _, s := range steps {
		if !fits(s) {
			continue
		}
		if found != nil {
			return nil
		}
		found = s
	}
	return found
}

func (r *renaming) sameParents(x, y *Step) bool {
	return slices.Equal(sorted(renamedAll(x.Parents, r.names)), sorted(y.Parents))
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}

func renamedAll(list []string, names map[string]string) []string {
	list = slices.Clone(list)
	for i, name := range list {
		if now, renamed := names[name]; renamed {
			list[i] = now
		}
	}
	return list
}

// body is the step as text, without its name and what it depends on.
func (s *Step) body() string {
	bare := s.called("")
	bare.Parents = nil
	return string((&tree.Node{Kind: tree.Array, Items: []*tree.Node{bare.document().Sorted()}}).AppendJSON(nil))
}

// called is a copy of the step with another name, and with the description that a step
// without one gets from it.
func (s *Step) called(name string) *Step {
	as := *s
	if as.Description == as.Name {
		as.Description = name
	}
	as.Name = name
	return &as
}

// withNames is a copy with other names of steps, for comparing only.
func (t *Template) withNames(names map[string]string) *Template {
	as := *t
	as.Steps = make([]*Step, len(t.Steps))
	for i, s := range t.Steps {
		if now, renamed := names[s.Name]; renamed {
			s = s.called(now)
		} else {
			s = s.called(s.Name)
		}
		s.Parents = renamedAll(s.Parents, names)
		as.Steps[i] = s
	}
	return &as
}
