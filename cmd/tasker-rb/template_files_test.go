package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBadTemplates(t *testing.T) {
	refuseAll(t, []badInput{
		{name: "not YAML", template: "name: [\n", errors: []string{"t.yaml:1:1: this is not valid YAML"}, hint: "brackets"},
		{name: "empty", template: "\n", errors: []string{"the file is empty"}, hint: "step_templates:"},
		{name: "text", template: "hello\n", errors: []string{"t.yaml:1:1: a template must be a mapping"}, hint: "Begin with name:"},
		{name: "wrong type", template: "name: t\nstep_templates: 3\n", errors: []string{"t.yaml:2:17: step_templates must be a list, found the value 3"}, hint: "`tasker-rb docs templates` says what every key takes"},
		{name: "unknown key", template: one("Fine") + "namespace_nme: x\n",
			errors: []string{`t.yaml:4:1: a template has no key "namespace_nme"`}, hint: `Did you mean "namespace_name"?`},
		{name: "cycle", template: "name: t\nstep_templates:\n  - {name: a, handler_class: Fine, depends_on_step: b}\n  - {name: b, handler_class: Fine, depends_on_step: a}\n",
			errors: []string{"the steps depend on each other in a cycle: a -> b -> a"}, hint: "Remove one of these dependencies."},
		{name: "duplicate step", template: "name: t\nstep_templates:\n  - {name: a, handler_class: Fine}\n  - {name: a, handler_class: Fine}\n",
			errors: []string{`t.yaml:4:12: the step "a" is given twice, first at t.yaml:3:12`}, hint: "Rename"},
		{name: "unknown dependency", template: "name: t\nstep_templates:\n  - {name: a, handler_class: Fine, depends_on_step: elsewhere}\n",
			errors: []string{`the step "a" depends on "elsewhere", which is not a step`}, hint: "Add the step"},
		{name: "all at once", template: "nme: t\nstep_templates:\n  - {name: a, handler_class: Fine, retries: many}\n",
			errors: []string{`no key "nme"`, `name`, `no key "retries"`}},
		{name: "unknown environment", template: one("Fine") + "environments: {test: {}}\n", args: []string{"--env", "prod"},
			errors: []string{`t.yaml has no environment "prod"`}, hint: "It has test."},
	})
}

func TestATemplateThatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	requireRefused(t, p.run("run", "none.yaml"), []string{"none.yaml: the file does not exist"}, "Check the path")
	p.write(map[string]string{"order.yml": one("Fine")})
	requireRefused(t, p.run("run", "order"), []string{"order: the file does not exist"}, `Did you mean "order.yml"?`)
	requireRefused(t, p.run("run", "."), []string{"this is a directory"}, "Name one file")
	require.Zero(t, p.written())
}
