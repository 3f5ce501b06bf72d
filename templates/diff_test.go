package templates_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	before := parse(t, `
name: x
step_templates:
  - {name: a, handler_class: A, timeout_seconds: 5, handler_config: {url: u, "odd key": [1, 2]}}
  - {name: gone, handler_class: G}
`)
	after := parse(t, `
name: x
description: new
step_templates:
  - {name: a, handler_class: A, handler_config: {url: v, "odd key": [1, 3]}, depends_on_step: b}
  - {name: b, handler_class: B, backoff: {base_seconds: 0.5}}
`)
	require.Equal(t, `+ description: "new"
- step_templates.a.depends_on_steps: []
+ step_templates.a.depends_on_steps: ["b"]
- step_templates.a.handler_config."odd key": [1,2]
+ step_templates.a.handler_config."odd key": [1,3]
- step_templates.a.handler_config.url: "u"
+ step_templates.a.handler_config.url: "v"
- step_templates.a.timeout_seconds: 5
+ step_templates.b.backoff.base_seconds: 0.5
+ step_templates.b.backoff.curve: "exponential"
+ step_templates.b.backoff.jitter: 0.1
+ step_templates.b.backoff.max_seconds: 300
+ step_templates.b.custom_events: []
+ step_templates.b.default_retry_limit: 3
+ step_templates.b.default_retryable: true
+ step_templates.b.dependent_system: "unknown"
+ step_templates.b.depends_on_steps: []
+ step_templates.b.description: "b"
+ step_templates.b.handler_class: "B"
+ step_templates.b.handler_config: {}
+ step_templates.b.name: "b"
+ step_templates.b.skippable: false
+ step_templates.b.transaction: "lazy"
- step_templates.gone.backoff.curve: "exponential"
- step_templates.gone.backoff.jitter: 0.1
- step_templates.gone.custom_events: []
- step_templates.gone.default_retry_limit: 3
- step_templates.gone.default_retryable: true
- step_templates.gone.dependent_system: "unknown"
- step_templates.gone.depends_on_steps: []
- step_templates.gone.description: "gone"
- step_templates.gone.handler_class: "G"
- step_templates.gone.handler_config: {}
- step_templates.gone.name: "gone"
- step_templates.gone.skippable: false
- step_templates.gone.transaction: "lazy"
`, templates.Diff(before, after))
}
