package orchestration_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// A handler that is registered by name is resolved by that name. Its head has the
// method only if the template names one.
func TestHandlerMethodOfTheTemplate(t *testing.T) {
	t.Parallel()
	parsed, err := templates.Parse([]byte(`
name: method
namespace_name: ns
steps:
  - name: pay
    handler: {callable: shop.pay_order, method: settle}
  - name: ship
    handler: {callable: Ship}
    dependencies: [pay]
`), "method.yaml")
	require.NoError(t, err)
	heads := map[string]map[string]any{}
	look := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		var head map[string]any
		require.NoError(t, json.Unmarshal(x.StepHead, &head))
		heads[x.StepName] = head
		return nil, nil
	}
	b := engine(t, funcs{"shop.pay_order": look, "Ship": look})
	s, err := b.Submit(t.Context(), orchestration.Submission{Template: parsed})
	require.NoError(t, err)
	_, err = b.Run(t.Context(), s.TaskID)
	require.NoError(t, err)
	require.Equal(t, "shop.pay_order", heads["pay"]["handler_class"])
	require.Equal(t, "settle", heads["pay"]["handler_method"])
	require.Equal(t, "Ship", heads["ship"]["handler_class"])
	require.NotContains(t, heads["ship"], "handler_method")
}
