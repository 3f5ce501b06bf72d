package main

import (
	"strings"
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
    call_the_bank
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
	requireInOrder(t, r.stdout,
		"charge  started\n",
		"charge | attempt\ncharge | 1\n",
		"charge  failed (attempt 1 of 2): RuntimeError: the bank said …; next attempt now\n",
		"charge  started (attempt 2 of 2)\n",
		"charge | attempt\ncharge | 2\n",
		"charge  failed for good (attempt 2 of 2): RuntimeError: the bank said …\n",
		"default/order 0.1.0  error\n",
		"\ncharge  error after 2 attempts\n",
		"  RuntimeError: the bank said\n  no\n    from "+file+":11:in `rescue in call_the_bank'\n",
		"    from "+file+":5:in `process'\n",
		"  caused by\n  ArgumentError: invalid value for Integer(): \"twelve\"\n",
		"    from "+file+":9:in `call_the_bank'\n",
		"\nship  not run: what it depends on did not complete\n",
	)
	require.NotContains(t, r.stdout, "tasker/execution", "the library's own lines are of no use to the reader")
}

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
	requireInOrder(t, r.stdout,
		"only  failed (attempt 1 of 3): Tasker::RetryableError: busy; next attempt in ",
		"only  started (attempt 2 of 3)\n",
		"only  started (attempt 3 of 3)\n",
		`only | Got through order_id=42 who="Ada B" list=[1,"x"] big=1180591620717411303424 none=null empty=""`+"\n",
		"only | error: A bad end\n",
		`only | {"message": half`+"\n",
		"\nonly\n  3\n",
	)
}

// requireInOrder wants each part after the one before it.
func requireInOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		at := strings.Index(rest, part)
		require.GreaterOrEqual(t, at, 0, "%q is not where it should be in\n%s", part, text)
		rest = rest[at+len(part):]
	}
}
