package templates_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestEnvironments(t *testing.T) {
	t.Parallel()
	charge := load(t, "test").Step("charge")
	require.Equal(t, 1, charge.RetryLimit)
	require.JSONEq(t, `{"url":"http://localhost:3000/charge",
		"limit":1606938044258990275541962092341162602522202993782792835301376,
		"params":{"currency":"EUR","retries":0.10,"debug":true}}`, string(charge.HandlerConfig))
	require.Equal(t, 90*time.Second, load(t, "staging").Step("ship").Timeout)
	require.Equal(t, load(t, "").Digest(), load(t, "unheard-of").Digest())

	tmpl := parse(t, `
name: x
default_dependent_system: one
schema: {properties: {a: {default: 1}, b: {default: 2}}}
step_templates:
  - {name: a, handler_class: A, timeout_seconds: 5, backoff: {jitter: 0.5, base_seconds: 2}, handler_config: {k: 1, l: [1, 2]}}
  - {name: b, handler_class: B}
environments:
  test:
    concurrent: false
    default_dependent_system: two
    schema: {properties: {b: {default: 3}}}
    step_templates:
      - {name: a, timeout_seconds: ~, backoff: {base_seconds: ~}, depends_on_steps: [b], handler_config: {k: ~, l: [3]}}
    step_overrides:
      a: {handler_class: C}
  empty:
`, templates.WithEnvironment("test"))
	require.False(t, tmpl.Concurrent)
	a := tmpl.Step("a")
	require.Equal(t, "two", a.DependentSystem)
	require.Zero(t, a.Timeout, "null takes a key away")
	require.Equal(t, "C", a.HandlerClass)
	require.Equal(t, "t.yml:16:26", a.HandlerPosition.String(), "the place in the environment")
	require.Equal(t, []string{"b"}, a.Parents)
	require.Equal(t, templates.Backoff{
		Curve: templates.CurveExponential, Base: time.Second, Max: 300 * time.Second, Min: time.Second, Jitter: 0.5,
	}, a.Backoff)
	require.Equal(t, `{"k":null,"l":[3]}`, string(a.HandlerConfig), "null is a value in free data")
	filled, err := tmpl.ValidateContext([]byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, `{"a":1,"b":3}`, string(filled))
}
