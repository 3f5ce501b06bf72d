package templates_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func ticket(t *testing.T, environment string) *templates.Template {
	t.Helper()
	tmpl, err := templates.Load("testdata/ticket.yml", templates.WithEnvironment(environment))
	require.NoError(t, err)
	return tmpl
}

func TestCoreTemplate(t *testing.T) {
	t.Parallel()
	tmpl := ticket(t, "")
	require.Equal(t, "theatre/print_ticket 2.1.0", tmpl.ID())
	require.Equal(t, "Sells a seat and prints its ticket.", tmpl.Description)
	require.Equal(t, "Theatre::TicketTask", tmpl.TaskHandlerClass)
	require.JSONEq(t, `{"house": "big"}`, string(tmpl.HandlerConfig))
	require.Equal(t, "seats", tmpl.DefaultDependentSystem)
	require.Equal(t, []templates.CustomEvent{{Name: "seat.sold", Description: "A seat has an owner."}}, tmpl.CustomEvents)
	require.True(t, tmpl.Concurrent)
	filled, err := tmpl.ValidateContext([]byte(`{"seat": "A7"}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"seat": "A7", "copies": 1}`, string(filled))
	_, err = tmpl.ValidateContext([]byte(`{}`))
	require.Len(t, violations(t, err), 1)

	hold, charge, paper := tmpl.Step("hold"), tmpl.Step("charge"), tmpl.Step("print")
	require.Equal(t, "Theatre::HoldSeat", hold.HandlerClass)
	require.Empty(t, hold.HandlerMethod)
	require.JSONEq(t, `{"minutes": 5, "rows": {"front": "A", "back": null}}`, string(hold.HandlerConfig))
	require.Equal(t, "seats", hold.DependentSystem)
	require.Equal(t, "Nobody else gets the seat.", hold.Description)
	require.Equal(t, templates.Position{File: "testdata/ticket.yml", Line: 30, Column: 17}, hold.HandlerPosition)
	require.True(t, hold.Retryable)
	require.Equal(t, 4, hold.RetryLimit)
	require.Equal(t, 20*time.Second, hold.Timeout)
	require.Equal(t, templates.Backoff{Curve: templates.CurveLinear, Base: 250 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.1}, hold.Backoff)

	require.Equal(t, "theatre.charge_card", charge.HandlerClass)
	require.Equal(t, "settle", charge.HandlerMethod)
	require.Equal(t, "bank", charge.DependentSystem)
	require.Equal(t, []string{"hold"}, charge.Parents)
	require.False(t, charge.Retryable)
	require.Equal(t, 2, charge.RetryLimit)
	require.Equal(t, templates.Backoff{Curve: templates.CurveExponential, Base: 1500 * time.Millisecond, Max: time.Minute, Jitter: 0.1}, charge.Backoff)
	require.Empty(t, charge.CustomEvents)
	require.Equal(t, []string{"seat.paid", "seat.refused"}, []string{charge.Published[0].Name, charge.Published[1].Name})
	require.Equal(t, "No money.", charge.Published[1].Description)

	require.Equal(t, "print_paper", paper.HandlerClass)
	require.Equal(t, []string{"charge"}, paper.Parents)
	require.Equal(t, templates.TransactionNone, paper.Transaction)
	require.Equal(t, "printer", paper.ConcurrencyKey)
	require.Equal(t, 1, paper.ConcurrencyLimit)
	require.True(t, paper.KeepThreads)
	require.Equal(t, 3, paper.RetryLimit)
	require.Equal(t, templates.Backoff{Curve: templates.CurveExponential, Base: time.Second, Max: 30 * time.Second, Jitter: 0.1}, paper.Backoff)

	require.Equal(t, []string{"test", "production"}, tmpl.Environments)
}

func TestCoreDefaults(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, "name: x\ninput_schema:\nsteps:\n  - {name: a, handler: {callable: A, initialization: , method: }, retry: , type: ~, dependencies: }\n")
	require.Equal(t, "default/x 1.0.0", tmpl.ID())
	require.Equal(t, "default", tmpl.Step("a").DependentSystem)
	require.Nil(t, tmpl.Schema)
	require.Empty(t, tmpl.Warnings)
	require.Equal(t, "{}", string(tmpl.Step("a").HandlerConfig))
	for text, want := range map[string]templates.Backoff{
		"{backoff: none}":                       {Curve: templates.CurveNone, Base: time.Second, Max: 30 * time.Second},
		"{backoff_base_ms: 50}":                 {Curve: templates.CurveExponential, Base: 50 * time.Millisecond, Max: 30 * time.Second},
		"{backoff_base_ms: 60000}":              {Curve: templates.CurveExponential, Base: time.Minute, Max: time.Minute},
		"{max_backoff_ms: 200}":                 {Curve: templates.CurveExponential, Base: 200 * time.Millisecond, Max: 200 * time.Millisecond},
		"{initial_delay: 2, max_delay: 20}":     {Curve: templates.CurveExponential, Base: 2 * time.Second, Max: 20 * time.Second},
		"{backoff_base_ms: 0, backoff: linear}": {Curve: templates.CurveLinear, Max: 30 * time.Second},
	} {
		want.Jitter = 0.1
		require.Equal(t, want, parse(t, "name: x\nsteps:\n  - {name: a, handler: {callable: A}, retry: "+text+"}\n").Step("a").Backoff, text)
	}
}

func TestCoreEnvironments(t *testing.T) {
	t.Parallel()
	test := ticket(t, "test")
	for _, s := range test.Steps {
		require.Equal(t, 2*time.Second, s.Timeout, s.Name)
		require.Equal(t, 1, s.RetryLimit, s.Name)
	}
	hold := test.Step("hold")
	require.JSONEq(t, `{"minutes": 1, "rows": {"front": "A", "back": null}}`, string(hold.HandlerConfig))
	require.Equal(t, templates.CurveNone, hold.Backoff.Curve)
	require.Equal(t, 250*time.Millisecond, hold.Backoff.Base)
	require.Equal(t, templates.CurveExponential, test.Step("print").Backoff.Curve)

	production := ticket(t, "production")
	require.Equal(t, "night", production.Queue)
	require.Equal(t, 20*time.Second, production.Step("hold").Timeout)
	require.Equal(t, 90*time.Second, production.Step("charge").Backoff.Max, "it replaces max_delay")
}

func TestCoreTemplateIsEncoded(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"", "test", "production"} {
		tmpl := ticket(t, environment)
		decoded, err := templates.Decode(tmpl.Encode())
		require.NoError(t, err)
		require.Equal(t, tmpl.Digest(), decoded.Digest())
		require.Equal(t, string(tmpl.Encode()), string(decoded.Encode()))
		for i, s := range tmpl.Steps {
			want := *s
			want.Position, want.HandlerPosition = templates.Position{}, templates.Position{}
			require.Equal(t, &want, decoded.Steps[i])
		}
	}
	// The same in the other format is the same template.
	const core = "name: x\nversion: 0.1.0\nsteps:\n  - {name: a, handler: {callable: shop.buy, method: buy!}, retry: {max_attempts: 5}}\n"
	const engine = "name: x\ndefault_dependent_system: default\nstep_templates:\n" +
		"  - {name: a, handler_class: shop.buy, handler_method: buy!, default_retry_limit: 5, backoff: {base_seconds: 1, max_seconds: 30}}\n"
	require.Empty(t, templates.Diff(parse(t, engine), parse(t, core)))
	require.Equal(t, "- step_templates.a.handler_method: \"buy!\"\n", templates.Diff(parse(t, core), parse(t, strings.Replace(core, ", method: buy!", "", 1))))
}

func TestCoreTemplateWithSymbolKeys(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, ":name: x\n:version: 2.0.0\n:steps:\n"+
		"  - :name: a\n    :handler:\n      :callable: A\n      :initialization:\n        limit: 3\n        :deep:\n          :n: 1\n          n: 2\n"+
		"    :retry:\n      :limit: 2\n:environments:\n  test:\n    :steps: []\n")
	require.Equal(t, "default/x 2.0.0", tmpl.ID())
	require.Equal(t, 2, tmpl.Step("a").RetryLimit)
	require.JSONEq(t, `{"limit": 3, "deep": {":n": 1, "n": 2}}`, string(tmpl.Step("a").HandlerConfig))
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		yaml string
		want []string
	}{
		"none": {"name: x\nmetadata:\nlifecycle: {}\ndomain_events: []\nsteps:\n  - {name: a, handler: {callable: A}, publishes_events: [], lifecycle: }\n", nil},
		"one of each kind": {"name: x\nmetadata: {a: 1}\nlifecycle: {a: 1}\nloaded_from: x.yaml\nsystem_dependencies: {secondary: [b]}\ndomain_events: [e]\n" +
			"task_handler: {callable: shop.task}\nsteps:\n" +
			"  - {name: a, handler: {callable: A}, publishes_events: [e], lifecycle: {b: 1}, result_schema: {type: object}}\n" +
			"  - {name: b, handler: {callable: A}, publishes_events: [f], result_schema: {type: object}}\n", []string{
			`warning: 2:1: nothing reads metadata | It only describes the template. It may stay.`,
			`warning: 3:1: nothing reads lifecycle | Set timeout_seconds: of the steps to limit their time.`,
			`warning: 4:1: nothing reads loaded_from | It only describes the template. It may stay.`,
			`warning: 5:23: nothing reads secondary | It only describes the template. It may stay.`,
			`warning: 6:1: domain_events only says which events handlers may publish; nothing publishes them by itself or checks them | Publish them in the handlers.`,
			`warning: 7:16: nothing calls the task_handler "shop.task": it is not the name of a Ruby class | Remove it, or write the name of a Ruby class.`,
			`warning: 9:39: events that are durable or broadcast are published as fast ones are: once at most, to subscribers in the worker's process | Write delivery_mode: fast if that is enough. For more, let the handler write to a table.`,
			`warning: 9:81: nothing reads result_schema | It only describes the template. It may stay.`}},
		"an environment that is not in use": {"name: x\n" + steps + "environments:\n  prod: {colour: red, step_templates: [{name: a, taste: 1}]}\n", []string{
			`warning: 5:10: an environment has no key "colour" | Known keys: ` + environmentKeyNames + `.`,
			`warning: 5:50: a step has no key "taste" | Known keys: ` + strings.Join(stepKeyNames, ", ") + `.`}},
	} {
		tmpl := parse(t, tc.yaml)
		require.Equal(t, tc.want, lines(t, tmpl.Warnings), name)
	}
}

// What is only a warning elsewhere is an error in the environment that is in use,
// also if another environment has it from the same anchor.
func TestUnknownKeysOfTheEnvironmentInUse(t *testing.T) {
	t.Parallel()
	const yaml = "name: x\n" + steps + "environments: {test: &e {colour: red}, prod: *e, dev: {}}\n"
	for _, environment := range []string{"test", "prod"} {
		_, err := templates.Parse([]byte(yaml), "t.yml", templates.WithEnvironment(environment))
		var problems *templates.Problems
		require.ErrorAs(t, err, &problems)
		require.Len(t, problems.List, 1)
		require.False(t, problems.List[0].Warning)
	}
	tmpl := parse(t, yaml, templates.WithEnvironment("dev"))
	require.Len(t, tmpl.Warnings, 1)
	require.Equal(t, parse(t, "name: x\n"+steps).Digest(), tmpl.Digest())
}

func TestWarningsBesideFaults(t *testing.T) {
	t.Parallel()
	_, err := templates.Parse([]byte("name: 1\nmetadata: {a: b}\nsteps:\n  - {name: a, handler: {callable: A}}\n"), "t.yml")
	require.EqualError(t, err, "t.yml:1:7: name must be text, found the value 1\n    Put it in quotes: \"1\"\n"+
		"warning: t.yml:2:1: nothing reads metadata\n    It only describes the template. It may stay.")
}

func TestPublishedEvents(t *testing.T) {
	t.Parallel()
	tmpl := parse(t, `name: x
steps:
  - name: a
    handler: {callable: A}
    publishes_events:
      - a.done
      - {name: a.failed, description: Oh, condition: retryable_failure, delivery_mode: fast, publisher: "Shop::Failures", schema: {type: object}}
  - {name: b, handler: {callable: A}}
`)
	published := []templates.PublishedEvent{
		{Name: "a.done", Condition: templates.PublishOnSuccess, DeliveryMode: "durable"},
		{Name: "a.failed", Description: "Oh", Condition: templates.PublishOnRetryableFailure, DeliveryMode: "fast", Publisher: "Shop::Failures"},
	}
	require.Equal(t, published, tmpl.Step("a").Published)
	stored, err := templates.Decode(tmpl.Encode())
	require.NoError(t, err)
	require.Equal(t, published, stored.Step("a").Published)
	require.NotContains(t, string(parse(t, "name: x\nsteps: [{name: b, handler: {callable: A}}]\n").Encode()), "publishes_events", "digests stay as they are")
	fast := parse(t, "name: x\nsteps: [{name: b, handler: {callable: A}, publishes_events: [{name: b.done, delivery_mode: fast}]}]\n")
	require.Empty(t, fast.Warnings)
	_, err = templates.Parse([]byte("name: x\nsteps: [{name: b, handler: {callable: A}, publishes_events: [{name: c, condition: sucess, delivery_mode: slow}]}]\n"), "t.yml")
	require.ErrorContains(t, err, `condition is "sucess"; it must be "success", "failure", "retryable_failure", "permanent_failure" or "always"`)
	require.ErrorContains(t, err, `delivery_mode is "slow"; it must be "durable", "fast" or "broadcast"`)
}
