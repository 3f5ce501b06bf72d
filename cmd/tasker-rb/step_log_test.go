package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARetryThatHelps(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one.yaml": "name: one\nstep_templates:\n  - {name: only, handler_class: Busy, backoff: {curve: none}}\n",
		"handlers/busy.rb": `
class Busy < Tasker::StepHandler::Base
  def process(_task, _sequence, step)
    raise Tasker::RetryableError.new("busy", retry_after: 0.1) if step.attempts < 3

    log_structured(:info, "Got through", order_id: 42, who: "Ada B", list: [1, "x"], big: 2**70, none: nil, empty: "")
    log_structured(:error, "A bad end")
    $stdout.print "{\"message\": half"
    step.attempts
  end
end
`,
	})
	r := p.run("run", "one.yaml")
	require.Zero(t, r.code, r.stderr)
	require.Regexp(t, `busy; next attempt (in \d+ms|now)\n`, r.stdout)
	requireInOrder(t, r.stdout,
		"only  failed (attempt 1 of 3): Tasker::RetryableError: busy; next attempt ",
		"only  started (attempt 2 of 3)\n",
		"only  started (attempt 3 of 3)\n",
		`only | Got through order_id=42 who="Ada B" list=[1,"x"] big=1180591620717411303424 none=null empty=""`+"\n",
		"only | error: A bad end\n",
		`only | {"message": half`+"\n",
		"\nonly\n  3\n",
	)
}
