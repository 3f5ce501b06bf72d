package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Which domain events come of an attempt, and that a task handler changes nothing about it.
func TestTheConditionsOfDomainEvents(t *testing.T) {
	t.Parallel()
	const success = " success after complete, always after complete,"
	const failed = "%[1]s failure after error, retryable_failure after error, always after error,"
	const lost = "%[1]s failure after error, permanent_failure after error, always after error,"
	cases := []struct{ code, more, heard string }{
		{`success(result: {})`, "", success},
		{`raise "x"`, "", fmt.Sprintf(failed, "RuntimeError")},
		{`failure(message: "x")`, "", fmt.Sprintf(lost, "TaskerCore::Errors::PermanentError")},
		{`nil.results`, "", fmt.Sprintf(lost, "NoMethodError")},
		{`nil.results`, "retry_programming_errors: true", fmt.Sprintf(failed, "NoMethodError")},
		{`raise NotImplementedError`, "", fmt.Sprintf(lost, "NotImplementedError")},
		{`Tasker.db.exec("select nothing")`, "", fmt.Sprintf(lost, "Tasker::SQLError::UndefinedColumn")},
		{`Tasker.db.exec("select 1") && raise("x")`, "", fmt.Sprintf(failed, "RuntimeError")},
	}
	var steps, want strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&steps, "  - name: s%d\n    handler: {callable: Only, initialization: {code: %q}}\n    retry: {max_attempts: 1}\n    %s\n    publishes_events:\n", i, c.code, c.more)
		for _, condition := range []string{"success", "failure", "retryable_failure", "permanent_failure", "always"} {
			fmt.Fprintf(&steps, "      - {name: s%d.%s, condition: %[2]s, delivery_mode: fast}\n", i, condition)
		}
		fmt.Fprintf(&want, "s%d %s: %s\n", i, c.code, c.heard)
	}
	for _, handler := range []string{"", "task_handler: {callable: Hooked}\n"} {
		t.Run(strings.TrimSpace(handler), func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{
				"payment.yaml": "name: payment\nnamespace_name: payments\n" + handler + "steps:\n" + steps.String(),
				"handlers/steps.rb": `require "tasker/compat/tasker_core"
class Only < TaskerCore::StepHandler::Base
  def call(context) = eval(context.get_config("code"))
end
class Everything < TaskerCore::DomainEvents::BaseSubscriber
  subscribes_to "*"
  def handle(event)
    step, condition = event[:event_name].split(".")
    stored = Tasker.db.first("select outcome from tasker.attempts join tasker.steps using (step_id) where name = $1", [step])&.fetch("outcome")
    File.write(step, " #{condition} after #{stored},", mode: "a")
  end
end
TaskerCore::DomainEvents::SubscriberRegistry.instance.register(Everything)
class Hooked
  include Tasker::TaskHandler
  def update_annotations(*) = nil
end
Tasker::Events.subscribe("step.failed") { |event| File.write(event[:step_name], event[:exception_class], mode: "a") }
`,
			})
			r := p.run("run", "payment.yaml")
			require.Empty(t, r.stderr)
			var heard strings.Builder
			for i, c := range cases {
				fmt.Fprintf(&heard, "s%d %s: %s\n", i, c.code, p.read(fmt.Sprintf("s%d", i)))
			}
			require.Equal(t, want.String(), heard.String(), r.stdout)
		})
	}
}
