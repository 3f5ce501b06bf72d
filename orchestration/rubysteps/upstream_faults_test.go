package rubysteps_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// upstreamFault is a fault of an earlier Tasker engine: a handler, the keys of its
// step, and what must happen here.
type upstreamFault struct {
	name   string
	body   string // of process
	keys   string // of the step
	expect func(t *testing.T, s *orchestration.StepDetail)
}

var upstreamFaults = []upstreamFault{
	{
		"a retryable step never became pending again", `
		raise "once" if step.attempts == 1
		step.attempts`, "backoff: {curve: none}",
		func(t *testing.T, s *orchestration.StepDetail) {
			require.Equal(t, orchestration.StepComplete, s.State)
			require.Equal(t, "2", string(s.Results()))
		},
	},
	{
		"a PermanentError was retried", `raise Tasker::PermanentError.new("declined", error_code: "CARD")`, "default_retry_limit: 5",
		endsAtOnce("Tasker::PermanentError"),
	},
	{
		"a step with retryable: false waited for ever", `raise Tasker::RetryableError, "busy"`, "default_retryable: false",
		endsAtOnce("Tasker::RetryableError"),
	},
	{"Hash results became true", `{ paid: true, "items" => [{ sku: "a" }] }`, "", returns(`{"paid":true,"items":[{"sku":"a"}]}`)},
	{"floats were truncated", `[0.1 + 0.2, 1.0, 1e20, 5e-324, -0.0]`, "", returns(`[0.30000000000000004,1.0,1.0e+20,5.0e-324,-0.0]`)},
	{
		"integers past 2**64 were clipped", `[2**64, -(2**63) - 1, 2**200]`, "",
		returns(`[18446744073709551616,-9223372036854775809,1606938044258990275541962092341162602522202993782792835301376]`),
	},
	{"symbols were dropped", `{ status: :paid, list: %i[a b] }`, "", returns(`{"status":"paid","list":["a","b"]}`)},
	{
		"results were truncated by size", `{ text: "x" * 3_000_000 }`, "",
		func(t *testing.T, s *orchestration.StepDetail) {
			require.Equal(t, `{"text":"`+strings.Repeat("x", 3_000_000)+`"}`, string(s.Results()))
		},
	},
	{
		"retry_after was lost when it was raised", `
		raise Tasker::RetryableError.new("busy", retry_after: 0.25) if step.attempts == 1
		step.backoff_request_seconds`, "",
		func(t *testing.T, s *orchestration.StepDetail) {
			require.Equal(t, 250*time.Millisecond, *s.History[0].Err.RetryAfter)
			require.Equal(t, "0.25", string(s.Results()))
			require.GreaterOrEqual(t, s.History[1].StartedAt.Sub(s.History[0].EndedAt), 250*time.Millisecond)
			require.Less(t, s.History[1].StartedAt.Sub(s.History[0].EndedAt), 30*time.Second)
		},
	},
	{
		"a timeout could not fire", `
		loop do
			sleep
		rescue => e
		end`, "timeout_seconds: 0.1\ndefault_retry_limit: 1",
		func(t *testing.T, s *orchestration.StepDetail) {
			require.Equal(t, orchestration.StepInError, s.State)
			require.Equal(t, "Tasker::StepTimeout", s.Last().Err.Class)
		},
	},
	{
		"results that cannot be written were dropped", `{ items: [{}, { price: Float::INFINITY }] }`, "default_retry_limit: 5",
		func(t *testing.T, s *orchestration.StepDetail) {
			endsAtOnce("Tasker::UnrepresentableError")(t, s)
			require.Contains(t, s.Last().Err.Message, "results.items[1].price")
		},
	},
}

func returns(results string) func(*testing.T, *orchestration.StepDetail) {
	return func(t *testing.T, s *orchestration.StepDetail) {
		t.Helper()
		require.Equal(t, orchestration.StepComplete, s.State)
		require.Equal(t, results, string(s.Results()))
	}
}

func endsAtOnce(class string) func(*testing.T, *orchestration.StepDetail) {
	return func(t *testing.T, s *orchestration.StepDetail) {
		t.Helper()
		require.Equal(t, orchestration.StepInError, s.State)
		require.Equal(t, 1, s.Attempts)
		require.Equal(t, class, s.Last().Err.Class)
	}
}

// The faults of earlier Tasker engines are not in this one.
func TestUpstreamFaults(t *testing.T) {
	t.Parallel()
	for i, c := range upstreamFaults {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			class := fmt.Sprintf("UpstreamFault%d", i)
			define(t, class, c.body)
			keys := ""
			for key := range strings.Lines(c.keys) {
				keys += "    " + strings.TrimSuffix(key, "\n") + "\n"
			}
			d := runTemplate(t, "name: one\nstep_templates:\n  - name: only\n    handler_class: "+class+"\n"+keys, nil)
			c.expect(t, &d.Steps[0])
			if d.Steps[0].State == orchestration.StepInError {
				require.Equal(t, orchestration.TaskInError, d.State)
			} else {
				require.Equal(t, orchestration.TaskComplete, d.State)
			}
		})
	}
}

// In an earlier engine two steps of one class got each other's configuration,
// because the handler object was kept.
func TestUpstreamFaultConfigurationIsTheStepsOwn(t *testing.T) {
	t.Parallel()
	define(t, "KeepsItsConfig", `
		@seen = (@seen || 0) + 1
		url = config["url"]
		config["url"] = "changed" unless config.frozen?
		{ url: url, seen: @seen }`)
	d := runTemplate(t, `name: two
step_templates:
  - {name: one, handler_class: KeepsItsConfig, handler_config: {url: first}}
  - {name: two, handler_class: KeepsItsConfig, handler_config: {url: second}, depends_on_step: one}
  - {name: three, handler_class: KeepsItsConfig, handler_config: {url: first}, depends_on_step: two}
`, nil)
	for i, url := range []string{"first", "second", "first"} {
		require.Equal(t, fmt.Sprintf(`{"url":"%s","seen":1}`, url), string(d.Steps[i].Results()), d.Steps[i].Last().Err)
	}
}

func define(t *testing.T, class, body string) {
	t.Helper()
	_, err := host.Eval(t.Context(), "class ::"+class+" < Tasker::StepHandler::Base\ndef process(task, sequence, step)\n"+body+"\nend\nend; nil", class+".rb")
	require.NoError(t, err)
}
