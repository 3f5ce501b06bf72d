package templates_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMermaid(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "name: x\nstep_templates:\n  - {name: 'say \"hi\" <b>', handler_class: A}\n  - {name: '#2', handler_class: A, depends_on_step: 'say \"hi\" <b>'}\n")
	require.Equal(t, `flowchart TD
    s0["say #quot;hi#quot; #lt;b#gt;"]
    s1["#35;2"]
    s0 --> s1
`, tmpl.Mermaid())
}
