package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFailureShowsTheUsersLineFirst(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"order.yaml": `
name: order
step_templates:
  - {name: charge, handler_class: Charge, default_retry_limit: 2, backoff: {curve: none}}
  - {name: ship, handler_class: Charge, depends_on_step: charge}
`,
		"handlers/charge.rb": `
class Charge < Tasker::StepHandler::Base
  def process(_task, _sequence, step)
    puts "attempt", step.attempts
    1.then { call_the_bank }
  end

  def call_the_bank
    Integer("twelve")
  rescue ArgumentError
    raise "the bank said\nno"
  end
end
`,
	})
	r := p.run("run", "order.yaml")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Empty(t, r.stderr)
	file := p.dir + "/handlers/charge.rb"
	requireInOrder(t, plainLabels(r.stdout),
		"charge  started\n",
		"charge | attempt\ncharge | 1\n",
		"charge  failed (attempt 1 of 2): RuntimeError: the bank said …; next attempt now\n",
		"charge  started (attempt 2 of 2)\n",
		"charge | attempt\ncharge | 2\n",
		"charge  ended in error (attempt 2 of 2): RuntimeError: the bank said …\n",
		"default/order 0.1.0  error\n",
		"\ncharge  error after 2 attempts\n",
		"  RuntimeError: the bank said\n  no\n    from "+file+":11:in 'call_the_bank'\n",
		"    from "+file+":5:in 'block in process'\n    from "+file+":5:in 'process'\n",
		"  caused by\n  ArgumentError: invalid value for Integer(): \"twelve\"\n",
		"    from "+file+":9:in 'call_the_bank'\n",
		"\nship  not run: what it depends on did not complete\n",
	)
	require.NotContains(t, r.stdout, "tasker/execution", "the library's own lines are of no use to the reader")
}
