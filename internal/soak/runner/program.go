package runner

import (
	"encoding/json"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/templates"
)

// program is a template that is run, whole or only its first steps.
type program struct {
	whole *templates.Template
	first map[int]*templates.Template
}

func loadPrograms(spec *soak.Spec) ([]*program, error) {
	var list []*program
	for _, file := range spec.Templates {
		t, err := templates.Load(file, templates.WithEnvironment(spec.Environment))
		if err != nil {
			return nil, err
		}
		list = append(list, &program{whole: t, first: map[int]*templates.Template{}})
	}
	return list, nil
}

// part is the template with the first n steps.
func (p *program) part(n int) (*templates.Template, error) {
	if n <= 0 || n >= len(p.whole.Steps) {
		return p.whole, nil
	}
	if p.first[n] == nil {
		part, err := p.whole.First(n)
		if err != nil {
			return nil, errors.Wrapf(err, "the first %d steps of %s", n, p.whole.ID())
		}
		p.first[n] = part
	}
	return p.first[n], nil
}

func (p *program) planned() soak.PlannedTemplate {
	planned := soak.PlannedTemplate{ID: p.whole.ID()}
	for _, s := range p.whole.Steps {
		planned.Classes = append(planned.Classes, s.HandlerClass)
	}
	return planned
}

// work is a task to run.
type work struct {
	template *templates.Template
	context  json.RawMessage
}
