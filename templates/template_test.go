package templates_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func load(t *testing.T, environment string) *templates.Template {
	t.Helper()
	tmpl, err := templates.Load("testdata/order.yml", templates.WithEnvironment(environment))
	require.NoError(t, err)
	return tmpl
}

func parse(t testing.TB, yaml string, opts ...templates.Option) *templates.Template {
	t.Helper()
	tmpl, err := templates.Parse([]byte(yaml), "t.yml", opts...)
	require.NoError(t, err)
	return tmpl
}

func names(steps []*templates.Step) []string {
	list := make([]string, len(steps))
	for i, s := range steps {
		list[i] = s.Name
	}
	return list
}

func TestEveryKey(t *testing.T) {
	t.Parallel()
	tmpl := load(t, "")
	require.Equal(t, "ecommerce/fulfil_order 1.2.0", tmpl.ID())
	require.Equal(t, "Takes a paid cart to the doorstep.", tmpl.Description)
	require.Equal(t, "Ecommerce::FulfilOrder", tmpl.TaskHandlerClass)
	require.Equal(t, "Ecommerce", tmpl.ModuleNamespace)
	require.Equal(t, "shop", tmpl.DefaultDependentSystem)
	require.True(t, tmpl.Concurrent)
	require.Equal(t, []string{"test", "staging"}, tmpl.Environments)
	require.Equal(t, "testdata/order.yml:1:7", tmpl.Position.String())

	require.Equal(t, []string{"validate", "reserve", "charge", "ship"}, names(tmpl.Steps))
	charge := tmpl.Step("charge")
	require.Equal(t, &templates.Step{
		Index: 2, Name: "charge", Description: "charge", HandlerClass: "Ecommerce::ChargeCard",
		DependentSystem: "payments", Retryable: true, RetryLimit: 5,
		HandlerConfig: json.RawMessage(`{"url":"https://payments.example/charge",` +
			`"limit":1606938044258990275541962092341162602522202993782792835301376,"params":{"currency":"EUR","retries":0.10}}`),
		CustomEvents: []templates.CustomEvent{{Name: "order.charged", Description: "The money is there"}},
		Backoff:      templates.DefaultBackoff(),
		Transaction:  templates.TransactionAlways, Isolation: templates.IsolationSerializable, ConcurrencyKey: "payments", ConcurrencyLimit: 1,
		Parents: []string{"validate"}, Children: []string{"ship"}, Level: 1,
		Position:        templates.Position{File: "testdata/order.yml", Line: 46, Column: 11},
		HandlerPosition: templates.Position{File: "testdata/order.yml", Line: 47, Column: 20},
	}, charge)
	require.Equal(t, templates.Backoff{
		Curve: templates.CurveLinear, Base: 250 * time.Millisecond, Max: 5 * time.Second,
	}, tmpl.Step("reserve").Backoff)
	require.Equal(t, "Ecommerce::ReserveStock", tmpl.Step("reserve").HandlerClass, "a leading :: means the same")
	require.Equal(t, 30*time.Second, tmpl.Step("ship").Timeout)
	require.Equal(t, "Checks the cart", tmpl.Step("validate").Description)
	require.Nil(t, tmpl.Step("nobody"))
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "name: x\nstep_templates:\n  - {name: a, handler_class: A}\n")
	require.Equal(t, "default/x 0.1.0", tmpl.ID())
	require.True(t, tmpl.Concurrent)
	require.Empty(t, tmpl.TaskHandlerClass)
	require.JSONEq(t, "{}", string(tmpl.HandlerConfig))
	require.Nil(t, tmpl.Schema)
	a := tmpl.Step("a")
	require.Equal(t, "a", a.Description)
	require.Equal(t, "unknown", a.DependentSystem)
	require.True(t, a.Retryable)
	require.Equal(t, 3, a.RetryLimit)
	require.False(t, a.Skippable)
	require.False(t, a.KeepThreads)
	require.JSONEq(t, "{}", string(a.HandlerConfig))
	require.Zero(t, a.Timeout)
	require.Equal(t, templates.TransactionLazy, a.Transaction)
	require.Equal(t, templates.IsolationDefault, a.Isolation)
	require.Equal(t, templates.Backoff{
		Curve: templates.CurveExponential, Base: time.Second, Max: 5 * time.Minute, Min: time.Second, Jitter: 0.1,
	}, a.Backoff)
}

func TestScalars(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"yes": "true", "Off": "false", "TRUE": "true", "y": `"y"`, "'yes'": `"yes"`, "~": "null", "": "null", "null": "null",
		"1_000": "1000", "+5": "5", "-0": "-0", "0x1F": "31", "0b101": "5", "0o17": "15", "017": "15", "08540": `"08540"`,
		"12:30": `"12:30"`, "1,000": `"1,000"`, "2024-01-01": `"2024-01-01"`, ":name": `":name"`,
		"0.10": "0.10", ".5": "0.5", "1.": "1.0", "-1.5e3": "-1.5e3", "1_0.5": "10.5", "1e3": "1e3", "1.2.3": `"1.2.3"`,
		"!!str 5": `"5"`, "!!float 5": "5", "|\n    two\n    lines": `"two\nlines\n"`, `"\u00e9\t"`: `"é\t"`,
		"115792089237316195423570985008687907853269984665640564039457584007913129639936": "115792089237316195423570985008687907853269984665640564039457584007913129639936",
	} {
		tmpl := parse(t, "name: x\nhandler_config:\n  v: "+written+"\n"+steps)
		require.Equal(t, `{"v":`+want+`}`, string(tmpl.HandlerConfig), written)
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, `
name: x
step_templates:
  - &first
    name: a
    handler_class: &class A
    default_retry_limit: 7
    handler_config: &config {url: u, n: 1}
  - <<: *first
    name: b
    depends_on_step: a
  - name: c
    handler_class: *class
    handler_config: {<<: [*config, {n: 2, m: 3}], url: own}
`)
	require.Equal(t, 7, tmpl.Step("b").RetryLimit)
	require.JSONEq(t, `{"url":"u","n":1}`, string(tmpl.Step("b").HandlerConfig))
	require.Equal(t, `{"url":"own","n":1,"m":3}`, string(tmpl.Step("c").HandlerConfig))
	require.Equal(t, "A", tmpl.Step("c").HandlerClass)
}

func TestByteOrderMarkAndLineEnds(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "\ufeffname: x\r\nstep_templates:\r\n  - {name: a, handler_class: A}\r\n")
	require.Equal(t, "x", tmpl.Name)
	require.Equal(t, 3, tmpl.Step("a").Position.Line)
}
