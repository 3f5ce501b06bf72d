package templates_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// hintCases have a value that is wrong in a second way, too. The hint must not lead there.
var hintCases = []struct{ yaml, want string }{
	{"name: '  '\n" + steps, `1:7: name "  " is only space | Give it a value.`},
	{"name: ''\n" + steps, `1:7: name is empty | Give it a value.`},
	{"name:\n" + steps, `1:6: name must be text, found nothing | Give it a value.`},
	{"name: x\nnamespace_name: ' '\n" + steps, `2:17: namespace_name " " is only space | Give it a value, or remove the key.`},
	{"name: \" a\\tb\"\n" + steps, `1:7: name " a\tb" holds a character that cannot be printed | Use printable characters on one line.`},
	{"name: x\nstep_templates: a\n", `2:17: step_templates must be a list, found the text "a" | Write a list of mappings, each with a name.`},
	{"name: x\ncustom_events: a\n" + steps, `2:16: custom_events must be a list, found the text "a" | Write a list of mappings, each with a name.`},
	{"name: x\nkeep: 1.5\n" + steps, `2:7: keep must be text, found the value 1.5 | Write days, hours or minutes, such as 30d or 12h, or forever.`},
	{"name: x\nmodule_namespace: 7\n" + steps, `2:19: module_namespace must be text, found the value 7 | Write the name of a Ruby class, such as Orders::ValidateOrder.`},
	{step("handler_class: 7"), `3:31: handler_class must be text, found the value 7 | Write the name of a Ruby class, such as Orders::ValidateOrder.`},
	{step("handler_class: Yes"), `3:31: handler_class must be text, found the value Yes | Put it in quotes: "Yes"`},
	{step("handler_class: A, handler_method: 7"), `3:50: handler_method must be text, found the value 7 | Write the name of a public method of the handler, such as call.`},
	{step("handler_class: A, handler_method: no"), `3:50: handler_method must be text, found the value no | Put it in quotes: "no"`},
	{step("handler_class: A, transaction: 1"), `3:47: transaction must be text, found the value 1 | Write "lazy", "always" or "none".`},
	{"name: x\nsteps:\n  - {name: a, handler: a b}\n", `3:24: handler must be a mapping, found the text "a b" | Write handler: {callable: NAME}.`},
	{"name: x\nsteps:\n  - {name: a, handler: Shop::Pay}\n", `3:24: handler must be a mapping, found the text "Shop::Pay" | Write handler: {callable: Shop::Pay}.`},
}

// step is a template with a step that has the keys.
func step(keys string) string {
	return "name: x\nstep_templates:\n  - {name: ab, " + keys + "}\n"
}

func TestNoHintLeadsToTheNextProblem(t *testing.T) {
	t.Parallel()
	for _, c := range hintCases {
		_, err := templates.Parse([]byte(c.yaml), "t.yml")
		var problems *templates.Problems
		require.ErrorAs(t, err, &problems, c.yaml)
		require.Equal(t, []string{c.want}, lines(t, problems.List))
	}
}

// The words of other job systems, and of other places, lead to the key that is meant.
func TestKeysOfOtherJobSystems(t *testing.T) {
	t.Parallel()
	const attempts = "Did you mean \"default_retry_limit\"? It counts all attempts, the first one included."
	for _, c := range []struct{ yaml, message, hint string }{
		{step("handler_class: A, retries: 3"), `a step has no key "retries"`, attempts},
		{step("handler_class: A, max_attempts: 3"), `a step has no key "max_attempts"`, attempts},
		{step("handler_class: A, maxRetries: 3"), `a step has no key "maxRetries"`, attempts},
		{step("handler_class: A, retry-count: 3"), `a step has no key "retry-count"`, attempts},
		{step("handler_class: A, retry_limt: 3"), `a step has no key "retry_limt"`, attempts},
		{step("handler_class: A, needs: [b]"), `a step has no key "needs"`, `Did you mean "depends_on_steps"?`},
		{step("handler_class: A, params: {}"), `a step has no key "params"`, `Did you mean "handler_config"?`},
		{step("handler_class: A, delay: 5"), `a step has no key "delay"`, `Did you mean backoff: {base_seconds: SECONDS}?`},
		{step("handler_class: A, queue: slow"), `a step has no key "queue"`, "It is a key of a template. Put it beside step_templates:."},
		{"name: x\ntimeout_seconds: 3\n" + steps, `a template has no key "timeout_seconds"`, "It is a key of a step. Put it into those that it concerns."},
		{"name: x\njobs: []\n" + steps, `a template has no key "jobs"`, `Did you mean "step_templates"?`},
		{"name: x\nretention: 30d\n" + steps, `a template has no key "retention"`, `Did you mean "keep"?`},
		{step("handler_class: A, backoff: {strategy: linear}"), `backoff has no key "strategy"`, `Did you mean "curve"?`},
		{"name: x\nsteps:\n  - {name: a, handler: {callable: A}, retries: 3}\n", `a step has no key "retries"`, "Did you mean retry: {max_attempts: N}? It counts all attempts, the first one included."},
		{"name: x\nsteps:\n  - {name: a, handler: {callable: A}, needs: [b]}\n", `a step has no key "needs"`, `Did you mean "dependencies"?`},
		{"name: x\nsteps:\n  - {name: a, handler: {callable: A}, retry: {attempts: 3}}\n", `retry has no key "attempts"`, `Did you mean "max_attempts"?`},
		{"name: x\nsteps:\n  - {name: a, handler: {class: A, callable: A}}\n", `handler has no key "class"`, `Did you mean "callable"?`},
		// A key that is nearly right is not of another system.
		{step("handler_class: A, skipable: true"), `a step has no key "skipable"`, `Did you mean "skippable"?`},
	} {
		_, err := templates.Parse([]byte(c.yaml), "t.yml")
		var problems *templates.Problems
		require.ErrorAs(t, err, &problems, c.yaml)
		require.Len(t, problems.List, 1, fmt.Sprint(problems))
		require.Equal(t, []string{c.message, c.hint}, []string{problems.List[0].Message, problems.List[0].Hint})
		require.False(t, strings.Contains(problems.List[0].Hint, "Known keys"))
	}
}
