package rubytest

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestTheStepOfATemplateAlone(t *testing.T) {
	t.Parallel()
	const config = `{"limit": 123456789012345678901234567890, "rate": 0.1, "text": "a: <b> # c\t"}`
	given, err := templates.Parse([]byte(`
name: order
step_templates:
  - {name: before, handler_class: Before}
  - name: charge
    handler_class: Shop::Charge
    depends_on_step: before
    timeout_seconds: 0.25
    transaction: always
    isolation: serializable
    keep_threads: true
    handler_method: settle
    handler_config: `+config+"\n"), "order.yaml")
	require.NoError(t, err)
	step := textOf(given.Step("charge"))
	step.RetryLimit, step.Parents = 3, []string{"a", "b"}
	alone, err := templateOf("order", "default", step)
	require.NoError(t, err)
	require.Len(t, alone.Steps, 3)
	was, is := given.Step("charge"), alone.Step("charge")
	require.Equal(t, []string{"a", "b"}, is.Parents)
	require.Equal(t, 3, is.RetryLimit)
	require.Equal(t, was.Timeout, is.Timeout)
	require.Equal(t, was.Transaction, is.Transaction)
	require.Equal(t, was.Isolation, is.Isolation)
	require.Equal(t, was.KeepThreads, is.KeepThreads)
	require.Equal(t, "settle", is.HandlerMethod)
	require.Equal(t, string(was.HandlerConfig), string(is.HandlerConfig))
	require.Contains(t, string(is.HandlerConfig), "123456789012345678901234567890")

	named, err := templateOf("test", "default", stepText{Name: stepUnderTest, Class: "A", Config: json.RawMessage(`{"n": 1e400}`), RetryLimit: 1})
	require.NoError(t, err)
	require.Equal(t, templates.TransactionLazy, named.Steps[0].Transaction)
}
