package templates_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	const order = `
name: order
namespace_name: shop
version: 1.0.0
step_templates:
  - {name: reserve, handler_class: Reserve, handler_config: {limit: 5, "odd key": [1, 2]}}
  - {name: charge, handler_class: Charge, depends_on_step: reserve}
  - {name: ship, handler_class: Ship, depends_on_step: charge}
`
	for name, c := range map[string]struct {
		replace []string
		want    []string
	}{
		"nothing":      {[]string{"version", "# a comment\nversion"}, nil},
		"retry limit":  {[]string{"depends_on_step: reserve}", "depends_on_step: reserve, default_retry_limit: 5}"}, []string{"step charge: retry limit 3 -> 5"}},
		"several":      {[]string{"depends_on_step: reserve}", "depends_on_step: reserve, default_retryable: false, timeout_seconds: 5}"}, []string{"step charge: retryable true -> false, timeout unset -> 5"}},
		"renamed":      {[]string{"name: ship", "name: deliver"}, []string{"step ship is now called deliver"}},
		"with parents": {[]string{"name: charge", "name: bill", "depends_on_step: charge", "depends_on_step: bill"}, []string{"step charge is now called bill"}},
		"renamed and changed": {
			[]string{"name: ship", "name: deliver", "depends_on_step: charge", "depends_on_steps: [charge, reserve], default_retry_limit: 1"},
			[]string{"step ship is now called deliver: retry limit 3 -> 1, after charge -> after charge, reserve"},
		},
		"another step": {[]string{"name: ship, handler_class: Ship", "name: send, handler_class: Send"}, []string{"new step send, after charge", "step ship is gone"}},
		"new": {
			[]string{"  - {name: ship", "  - {name: check, handler_class: Check}\n  - {name: refund, handler_class: Refund, depends_on_steps: [charge, check]}\n  - {name: ship"},
			[]string{"new step check, at the start", "new step refund, after charge, check"},
		},
		"gone":      {[]string{"  - {name: ship, handler_class: Ship, depends_on_step: charge}\n", ""}, []string{"step ship is gone"}},
		"dependent": {[]string{", depends_on_step: reserve", ""}, []string{"step charge: after reserve -> at the start"}},
		"handler":   {[]string{"handler_class: Ship", "handler_class: Shop::Ship"}, []string{"step ship: handler Ship -> Shop::Ship"}},
		"config": {
			[]string{`{limit: 5, "odd key": [1, 2]}`, `{limit: "five and a half", "odd key": [1, 3], deep: {a: 1}}`},
			[]string{`step reserve: handler_config.deep unset -> {"a":1}, handler_config.limit 5 -> "five and a half", handler_config."odd key" [1,2] -> [1,3]`},
		},
		"backoff": {[]string{"handler_class: Ship", "handler_class: Ship, backoff: {curve: linear}"}, []string{"step ship: backoff.curve exponential -> linear"}},
		"template": {
			[]string{"version: 1.0.0", "version: 1.1.0\nqueue: mail\nconcurrent: false\nschema: {type: object, properties: {a: {type: string}, b: {type: string}, c: {type: string}}}"},
			[]string{"concurrent true -> false", "queue unset -> mail", "schema is new", "version 1.0.0 -> 1.1.0"},
		},
		"long": {[]string{"handler_class: Ship", "handler_class: Ship, description: " + strings.Repeat("long ", 20)}, []string{"step ship: description changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.NewReplacer(c.replace...).Replace(order)
			before, after := parse(t, order), parse(t, changed)
			require.Equal(t, c.want, templates.Changes(before, after))
			require.Equal(t, before.Digest() == after.Digest(), len(c.want) == 0)
			require.Len(t, templates.Changes(after, before), len(c.want))
			require.Equal(t, before.Digest(), parse(t, order).Digest(), "the templates are not touched")
		})
	}
}

// Two steps with the same handler: which one is which, is only said where it is certain.
func TestChangesOfStepsThatAreAlike(t *testing.T) {
	t.Parallel()
	steps := func(names ...string) *templates.Template {
		text := "name: x\nstep_templates:\n"
		for i, name := range names {
			text += "  - {name: " + name + ", handler_class: Same"
			if i > 0 {
				text += ", depends_on_step: " + names[i-1]
			}
			text += "}\n"
		}
		return parse(t, text)
	}
	require.Equal(t, []string{"step a is now called x", "step b is now called y"}, templates.Changes(steps("a", "b"), steps("x", "y")), "they have their places")
	alike := func(a, b string) *templates.Template {
		return parse(t, "name: x\nstep_templates:\n  - {name: "+a+", handler_class: Same}\n  - {name: "+b+", handler_class: Same}\n")
	}
	require.Equal(t, []string{"new step x, at the start", "new step y, at the start", "step a is gone", "step b is gone"}, templates.Changes(alike("a", "b"), alike("x", "y")))
}
