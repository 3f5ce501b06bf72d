package rubytest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"
)

func TestTheTemplateOfAName(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(file, text string) string {
		path := filepath.Join(folder, file)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const steps = "\nstep_templates: [{name: a, handler_class: A}]\n"
	write("order1.yaml", "name: order\nnamespace_name: shop\nversion: 1.0.0"+steps)
	write("order2.yaml", "name: order\nnamespace_name: shop\nversion: 1.10.0"+steps)
	write("order3.yaml", "name: order\nnamespace_name: shop\nversion: 1.9.0"+steps)
	write("refund.yaml", "name: refund\nnamespace_name: shop"+steps)
	write("refund_bank.yml", "name: refund\nnamespace_name: bank"+steps)
	file := write("order2.yaml", "name: order\nnamespace_name: shop\nversion: 1.10.0"+steps)
	l := newLibrary([]string{folder})
	for name, c := range map[string]struct {
		template, version string
		id, err, hint     string
	}{
		"the highest version":    {"order", "", "shop/order 1.10.0", "", ""},
		"with its namespace":     {"shop/order", "", "shop/order 1.10.0", "", ""},
		"with a version":         {"order", "1.9.0", "shop/order 1.9.0", "", ""},
		"a file":                 {file, "", "shop/order 1.10.0", "", ""},
		"two namespaces":         {"refund", "", "", "there is a template refund in several namespaces", "bank/refund, shop/refund"},
		"one of two namespaces":  {"bank/refund", "", "bank/refund 0.1.0", "", ""},
		"a misspelt name":        {"ordre", "", "", `there is no template "ordre"`, `Did you mean "order"`},
		"a name like no other":   {"zzzzzzzzzzzz", "", "", `there is no template "zzzzzzzzzzzz"`, `The templates are "bank/refund"`},
		"an unknown version":     {"order", "9.9.9", "", "9.9.9", "1.10.0"},
		"an unknown namespace":   {"shp/order", "", "", "shp/order", "shop/order"},
		"a file that is not yet": {"none/order.yaml", "", "", "there is no template file none/order.yaml", "relative to the folder"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := l.find(c.template, c.version, "test")
			if c.err == "" {
				require.NoError(t, err)
				require.Equal(t, c.id, found.ID())
				return
			}
			require.ErrorContains(t, err, c.err)
			require.Contains(t, errors.FlattenHints(err), c.hint)
		})
	}
	none := newLibrary(nil)
	_, err := none.find("order", "", "")
	require.ErrorContains(t, err, `there is no template "order"`)
	require.Contains(t, errors.FlattenHints(err), "--templates DIR")
}
