package templates_test

import (
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestFindSaysWhatThereIs(t *testing.T) {
	t.Parallel()
	registry := templates.NewRegistry(load(t, ""))
	for _, tc := range []struct{ namespace, name, version, message, hint string }{
		{"ecommerce", "fulfil_order", "9.0.0", "ecommerce/fulfil_order has no version 9.0.0: no such template", `There is "1.2.0".`},
		{"ecommerce", "fulfill_order", "", "ecommerce/fulfill_order: no such template", `Did you mean "ecommerce/fulfil_order"?`},
		{"", "fulfil_order", "", "default/fulfil_order: no such template", `There is "fulfil_order" in the namespace "ecommerce".`},
		{"a", "b", "", "a/b: no such template", `Known templates: "ecommerce/fulfil_order".`},
	} {
		_, err := registry.Find(tc.namespace, tc.name, tc.version)
		require.EqualError(t, err, tc.message)
		require.ErrorIs(t, err, templates.ErrNotFound)
		require.Equal(t, []string{tc.hint}, errors.GetAllHints(err))
	}
	_, err := templates.NewRegistry().Find("", "x", "")
	require.Equal(t, []string{"No template is loaded."}, errors.GetAllHints(err))
}
