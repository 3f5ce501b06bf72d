package rubytest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/templates"
)

// stepUnderTest is the name of the step that run_step runs, if the caller names a class.
const stepUnderTest = "step_under_test"

// runStep runs one step in a task of its own. The steps whose results it reads are stubs.
func (s *service) runStep(ctx context.Context, r *request) (reply, error) {
	name, namespace := "test", "default"
	step := stepText{Name: stepUnderTest, Class: r.HandlerClass, Config: r.Config}
	if r.HandlerClass == "" {
		given, template, err := s.stepOf(r)
		if err != nil {
			return nil, err
		}
		name, namespace = template.Name, template.Namespace
		step = textOf(given)
		if len(r.Config) > 0 {
			step.Config = r.Config
		}
	}
	step.RetryLimit = max(r.Attempt, 1)
	if _, itself := r.Results[step.Name]; itself {
		return nil, errors.WithHintf(errors.Newf("results: names the step %q itself", step.Name), "Give the results of the steps that it depends on.")
	}
	step.Parents = slices.Sorted(maps.Keys(r.Results))
	template, err := templateOf(name, namespace, step)
	if err != nil {
		return nil, err
	}
	if step.RetryLimit > 1 {
		err := s.bed.Add(testbed.Fault{Step: step.Name, Kind: testbed.Fail, Times: step.RetryLimit - 1, Err: &orchestration.StepError{
			Class: "Tasker::RetryableError", Message: fmt.Sprintf("run_step wants attempt %d", step.RetryLimit),
		}})
		if err != nil {
			return nil, err
		}
	}
	r.Stubs = r.Results
	return s.run(ctx, r, template)
}

// stepText is a step as a template has it. A template in JSON is one in YAML, and keeps all
// digits of the config.
type stepText struct {
	Name        string          `json:"name"`
	Class       string          `json:"handler_class"`
	Method      string          `json:"handler_method,omitempty"`
	Config      json.RawMessage `json:"handler_config,omitempty"`
	Parents     []string        `json:"depends_on_steps,omitempty"`
	RetryLimit  int             `json:"default_retry_limit,omitempty"`
	Timeout     float64         `json:"timeout_seconds,omitempty"`
	Transaction string          `json:"transaction,omitempty"`
	Isolation   string          `json:"isolation,omitempty"`
	KeepThreads bool            `json:"keep_threads,omitempty"`
}

// textOf is a step of a template without its place among the others.
func textOf(s *templates.Step) stepText {
	return stepText{
		Name: s.Name, Class: s.HandlerClass, Method: s.HandlerMethod, Config: s.HandlerConfig, Timeout: s.Timeout.Seconds(),
		Transaction: string(s.Transaction), Isolation: string(s.Isolation), KeepThreads: s.KeepThreads,
	}
}

// templateOf is a template of the step and its parents.
func templateOf(name, namespace string, step stepText) (*templates.Template, error) {
	var steps []stepText
	for _, parent := range step.Parents {
		steps = append(steps, stepText{Name: parent, Class: "Stub"})
	}
	text, err := json.Marshal(map[string]any{
		"name": name, "namespace_name": namespace, "version": "0.0.0", "step_templates": append(steps, step),
	})
	if err != nil {
		return nil, errors.Wrap(err, "a template for the step")
	}
	return templates.Parse(text, "run_step")
}

// stepOf finds the step that run_step names, in the template that it names, or in the one
// template that has such a step.
func (s *service) stepOf(r *request) (*templates.Step, *templates.Template, error) {
	if r.Template != "" {
		t, err := s.templates.find(r.Template, r.Version, r.Env)
		if err != nil {
			return nil, nil, err
		}
		if step := t.Step(r.Step); step != nil {
			return step, t, nil
		}
		return nil, nil, unknownStep("run_step", r.Step, stepNames(t))
	}
	all, err := s.templates.all(r.Env)
	if err != nil {
		return nil, nil, err
	}
	var found *templates.Template
	var known []string
	for _, t := range all {
		known = append(known, stepNames(t)...)
		if t.Step(r.Step) == nil {
			continue
		}
		if found != nil && (found.Name != t.Name || found.Namespace != t.Namespace) {
			return nil, nil, errors.WithHintf(errors.Newf("several templates have a step %q", r.Step),
				"Say which one you mean: template: %q or %q.", found.Namespace+"/"+found.Name, t.Namespace+"/"+t.Name)
		}
		found = t // versions ascend
	}
	if found == nil {
		return nil, nil, unknownStep("run_step", r.Step, known)
	}
	return found.Step(r.Step), found, nil
}
