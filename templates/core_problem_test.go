package templates_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

const later = " | Steps that are made or chosen while a task runs are not there yet; they come in a later version."

// core is a valid template, to whose only step a test adds its subject in line 4.
const core = "name: x\nsteps:\n  - name: a\n    "

// coreProblemCases are like problemCases. They also seed FuzzParse.
var coreProblemCases = []struct {
	name, yaml string
	want       []string
}{
	{"no steps", "name: x\ninput_schema: {}\n", []string{`1:1: the template has no steps | Add steps: with a list of steps.`}},
	{"steps: empty", "name: x\nsteps: []\n", []string{`2:8: steps is empty | Add a step.`}},
	{"steps: a mapping", "name: x\nsteps: {a: {}}\n", []string{`2:8: steps must be a list, found a mapping`}},
	{"steps: text", "name: x\nsteps: [a]\n", []string{`2:9: steps[0] must be a mapping, found the text "a"`}},
	{"nothing in a step", "name: x\nsteps:\n  - {}\n", []string{
		`3:5: the step has no name | Add a name.`, `3:5: the step has no handler | Add handler: {callable: NAME}.`}},
	{"both lists", "name: x\nsteps:\n  - {name: a, handler: {callable: A}}\nstep_templates: []\n", []string{
		`4:1: a template has no key "step_templates" | A template has steps: or step_templates:. Keep one of the two, with the keys of its format.`}},
	{"keys of the other format", "name: x\nschema: {}\nsteps:\n  - {name: a, handler: {callable: A}, handler_class: A, default_retry_limit: 3, depends_on_step: b}\n", []string{
		`2:1: a template has no key "schema" | In a template with steps: it is input_schema:.`,
		`4:39: a step has no key "handler_class" | In a template with steps: it is handler: {callable: NAME}.`,
		`4:57: a step has no key "default_retry_limit" | In a template with steps: it is retry: {max_attempts: N}.`,
		`4:81: a step has no key "depends_on_step" | In a template with steps: it is dependencies:, a list.`}},
	{"steps of the other format", "name: x\nschema: {}\nsteps:\n  - {name: a, handler_class: A, depends_on_step: b}\n  - {name: b, handler_clas: B}\n", []string{
		`3:1: the steps below steps: have handler_class:, which belongs to step_templates: | Write step_templates: for steps:. In a template with steps:, which is Tasker Core's format, a step has handler: {callable: NAME}.`,
		`5:5: the step "b" has no handler_class | Add handler_class: with the name of a Ruby class.`,
		`5:15: a step has no key "handler_clas" | Did you mean "handler_class"?`}},
	{"keys of this format in the other", "name: x\ninput_schema: {}\nstep_templates:\n  - {name: a, handler: {callable: A}, retry: {}, dependencies: []}\n", []string{
		`2:1: a template has no key "input_schema" | In a template with step_templates: it is schema:.`,
		`4:5: the step "a" has no handler_class | Add handler_class: with the name of a Ruby class.`,
		`4:15: a step has no key "handler" | In a template with step_templates: it is handler_class:, handler_method: and handler_config:.`,
		`4:39: a step has no key "retry" | In a template with step_templates: it is default_retryable:, default_retry_limit: and backoff:.`,
		`4:50: a step has no key "dependencies" | In a template with step_templates: it is depends_on_steps:.`}},
	{"unknown keys", "name: x\ninput_shema: {}\nsteps:\n  - {name: a, handler: {callable: A, metod: b}, retry: {max_atempts: 1}}\n", []string{
		`2:1: a template has no key "input_shema" | Did you mean "input_schema"?`,
		`4:38: handler has no key "metod" | Did you mean "method"?`,
		`4:57: retry has no key "max_atempts" | Did you mean "max_attempts"?`}},
	{"handler: text", core + "handler: Shop::Buy\n", []string{`4:14: handler must be a mapping, found the text "Shop::Buy" | Write handler: {callable: Shop::Buy}.`}},
	{"handler: a list", core + "handler: [A]\n", []string{`4:14: handler must be a mapping, found a list`}},
	{"handler: without a callable", core + "handler: {method: buy}\n", []string{
		`4:5: the handler of the step "a" has no callable | Add callable: with the name of a Ruby class, or the name that the handler is registered with.`}},
	{"handler: odd callables", "name: x\nsteps:\n  - {name: a, handler: {callable: shop/buy.rb}}\n  - {name: b, handler: {callable: Shop.Buy}}\n  - {name: c, handler: {callable: 'shop.'}}\n  - {name: d, handler: {callable: buy.rb}}\n", []string{
		`3:35: callable "shop/buy.rb" is not the name of a Ruby class | Did you mean "Shop::Buy"?`,
		`4:35: callable "Shop.Buy" is not the name of a Ruby class | Did you mean "Shop::Buy"?`,
		`5:35: callable "shop." is not the name of a Ruby class | Did you mean "Shop"?`,
		`6:35: callable "buy.rb" is not the name of a Ruby class | Did you mean "Buy"?`}},
	{"handler: odd method", core + "handler: {callable: A, method: 'Buy it'}\n", []string{
		`4:36: method "Buy it" is not the name of a Ruby method | Write the name of a public method of the handler, such as call.`}},
	{"handler: config", core + "handler: {callable: A, initialization: [1]}\n", []string{`4:44: initialization must be a mapping, found a list`}},
	{"handler: resolver", core + "handler: {callable: A, resolver: ours}\n", []string{
		`4:28: the step "a" has a resolver, which may find another handler than the one named; there are no resolvers here | Write the handler's own name as its callable, and remove resolver.`}},
	{"type: of run time", "name: x\nsteps:\n  - {name: a, handler: {callable: A}, type: decision}\n  - {name: b, handler: {callable: A}, type: batchable, batch_config: {}}\n" +
		"  - {name: c, handler: {callable: A}, type: batch_worker}\n  - {name: d, handler: {callable: A}, step_type: deferred_convergence}\n", []string{
		`3:45: the step "a" is of the type decision: it decides while the task runs which steps follow` + later,
		`4:45: the step "b" is of the type batchable: it makes batches of steps while the task runs` + later,
		`5:45: the step "c" is of the type batch_worker: copies of it are made while the task runs` + later,
		`6:50: the step "d" is of the type deferred_convergence: it waits for steps that a decision chooses while the task runs` + later}},
	{"type: unknown", core + "handler: {callable: A}\n    type: standart\n", []string{`5:11: type is "standart"; it must be "standard" | Did you mean "standard"?`}},
	{"batch_config and composition", core + "handler: {callable: A}\n    batch_config: {batch_size: 3}\n    composition: []\n", []string{
		`5:5: the step "a" has a batch_config: its batches are made while the task runs` + later,
		`6:5: the step "a" has a composition, which would run in place of its handler | Write a handler that does it.`}},
	{"dependencies", "name: x\nsteps:\n  - {name: pay, handler: {callable: A}, dependencies: [pay]}\n  - {name: b, handler: {callable: A}, dependencies: [pya, pay, pay]}\n  - {name: c, handler: {callable: A}, depends_on: b}\n", []string{
		`3:56: the step "pay" depends on itself | Remove it.`,
		`4:54: the step "b" depends on "pya", which is not a step | Did you mean "pay"?`,
		`5:51: depends_on must be a list, found the text "b" | Write a list: [b]`}},
	{"words for the same", core + "handler: {callable: A}\n    dependencies: []\n    depends_on: []\n    retry: {max_attempts: 1, limit: 2, backoff_base_ms: 1, initial_delay: 1}\n", []string{
		`6:5: a step has dependencies and depends_on, which mean the same | Keep dependencies.`,
		`7:30: retry has max_attempts and limit, which mean the same | Keep max_attempts.`,
		`7:60: retry has backoff_base_ms and initial_delay, which mean the same | Keep backoff_base_ms.`}},
	{"retry: values", core + "handler: {callable: A}\n    retry: {retryable: 'yes', max_attempts: -1, backoff: quadratic, backoff_base_ms: 1.5, max_backoff_ms: '100'}\n", []string{
		`5:24: retryable must be true or false, found the text "yes" | Write it without quotes.`,
		`5:45: max_attempts is -1; it must be from 0 to 10000`,
		`5:58: backoff is "quadratic"; it must be "none", "linear" or "exponential"`,
		`5:86: backoff_base_ms must be an integer, found the value 1.5`,
		`5:107: max_backoff_ms must be an integer, found the text "100" | Write it without quotes.`}},
	{"retry: fibonacci", core + "handler: {callable: A}\n    retry: {backoff: fibonacci}\n", []string{
		`5:22: there is no fibonacci backoff here, nor in the engine of Tasker Core | Write exponential or linear.`}},
	{"retry: the longest wait is short", core + "handler: {callable: A}\n    retry: {initial_delay: 5, max_backoff_ms: 100}\n", []string{
		`5:47: max_backoff_ms (100ms) is below initial_delay (5s) | Raise max_backoff_ms or lower initial_delay.`}},
	{"timeout", core + "handler: {callable: A}\n    timeout_seconds: 0\n", []string{`5:22: timeout_seconds is 0; it must be more than 0 and at most 604800 (7 days)`}},
	{"input_schema", "name: x\ninput_schema: {type: 5}\nsteps:\n  - {name: a, handler: {callable: A}}\n", []string{
		`2:16: input_schema.type: fits none of the allowed forms (must be one of "array", "boolean", "integer", "null", "number", "object", "string", got 5) | The types are string, number, integer, boolean, object, array and null.`}},
	{"mappings of the template", "name: x\ntask_handler: {callable: 'A::b', initialization: 1, method: go}\nsystem_dependencies: {primary: 1, secondary: b}\nsteps:\n  - {name: a, handler: {callable: A}}\n", []string{
		`2:26: callable "A::b" is not the name of a Ruby class | Did you mean "A::B"?`,
		`2:50: initialization must be a mapping, found the value 1`,
		`2:53: task_handler has no key "method" | Known keys: callable, initialization.`,
		`3:32: primary must be text, found the value 1 | Put it in quotes: "1"`,
		`3:46: secondary must be a list, found the text "b" | Write a list: [b]`}},
	{"events", "name: x\nsteps:\n  - {name: a, handler: {callable: A}, publishes_events: [e, {name: e}, {description: d}, 5, {name: f, kind: k}]}\n", []string{
		`warning: 3:39: events that are durable or broadcast are published as fast ones are: once at most, to subscribers in the worker's process | Write delivery_mode: fast if that is enough. For more, let the handler write to a table.`,
		`3:68: the event "e" is given twice, first at t.yml:3:58 | Remove one of the two.`,
		`3:72: publishes_events[2] has no name | Add a name.`,
		`3:90: publishes_events[3] must be text, found the value 5 | Put it in quotes: "5"`,
		`3:103: an event has no key "kind" | Known keys: name, description, schema, condition, delivery_mode, publisher.`}},
	{"environments", core + `handler: {callable: A}
environments:
  test:
    steps:
      - {name: b, timeout_seconds: 1}
      - {name: a, retry: {max_attempts: many}, colour: red}
      - {name: a}
    version: 1.0.0
`, []string{
		`8:16: the environment changes the step "b", which is not a step of this template | Did you mean "a"?`,
		`9:41: max_attempts must be an integer, found the text "many"`,
		`warning: 9:48: a step has no key "colour" | Known keys: name, description, handler, type, step_type, system_dependency, dependencies, depends_on, retry, timeout_seconds, publishes_events, skippable, transaction, isolation, concurrency_key, concurrency_limit, keep_threads, retry_programming_errors, lifecycle, result_schema, batch_config, composition.`,
		`10:16: the environment changes the step "a" twice, first at t.yml:9:16 | Merge the two.`,
		`warning: 11:5: an environment has no key "version" | Known keys: description, task_handler, system_dependencies, domain_events, input_schema, steps, concurrent, queue, keep, metadata, lifecycle, loaded_from.`}},
}

func TestCoreProblems(t *testing.T) {
	t.Parallel()
	for _, tc := range coreProblemCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tmpl, err := templates.Parse([]byte(tc.yaml), "t.yml")
			require.Nil(t, tmpl)
			var problems *templates.Problems
			require.ErrorAs(t, err, &problems)
			require.Equal(t, tc.want, lines(t, problems.List))
		})
	}
}
