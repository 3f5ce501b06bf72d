package rubytest

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/cockroachdb/errors"
	"gopkg.in/yaml.v3"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/templates"
)

// runTask submits a task and runs it until it has ended.
func (s *service) runTask(ctx context.Context, r *request) (reply, error) {
	template, err := s.templates.find(r.Template, r.Version, r.Env)
	if err != nil {
		return nil, err
	}
	return s.run(ctx, r, template)
}

func (s *service) run(ctx context.Context, r *request, template *templates.Template) (reply, error) {
	names := stepNames(template)
	for step := range r.Stubs {
		if !slices.Contains(names, step) {
			return nil, unknownStep("a stub", step, names)
		}
	}
	if r.Crash != nil && !slices.Contains(names, r.Crash.Step) {
		return nil, unknownStep("a point of crash", r.Crash.Step, names)
	}
	submission := orchestration.Submission{Template: template, Context: r.Context}
	if r.RunAt > 0 {
		submission.RunAt = time.UnixMicro(r.RunAt).UTC()
	}
	options := testbed.RunOptions{Stubs: r.Stubs, Workers: r.Workers, Serial: r.Serial}
	if p := r.Crash; p != nil {
		options.Crash = &testbed.Point{Step: p.Step, Attempt: p.Attempt, At: testbed.Moment(p.At), Number: p.Number, Side: testbed.Side(p.Side)}
	}
	options.Submitted = func(ctx context.Context, taskID int64) error {
		return s.killFor(ctx, Kill{TaskID: taskID, Stubs: r.Stubs}, names)
	}
	s.serial.Store(r.Serial)
	run, err := s.bed.Run(ctx, submission, options)
	if err != nil {
		return nil, err
	}
	answer := reply{"task": document(run, template), "trace": append([]testbed.Entry{}, run.Trace...)}
	if r.Crash != nil {
		answer["reached"] = run.Reached
	}
	return answer, nil
}

// killFor runs a task that was submitted in processes that are to be killed, one for each
// such fault of its steps. The bed goes on with it.
func (s *service) killFor(ctx context.Context, k Kill, steps []string) error {
	s.mu.Lock()
	kills := s.kills
	s.mu.Unlock()
	var left []testbed.Fault
	for _, f := range kills {
		met := false
		if slices.Contains(steps, f.Step) {
			s.bed.ExpectCrash()
			k.Now, k.Fault = s.bed.Now(), f
			var err error
			if met, err = s.cfg.Kill(ctx, k); err != nil {
				return err
			}
		}
		if !met {
			left = append(left, f)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kills = left
	return nil
}

func stepNames(t *templates.Template) []string {
	names := make([]string, len(t.Steps))
	for i, s := range t.Steps {
		names[i] = s.Name
	}
	return names
}

// stepUnderTest is the step of run_step if the caller names a class.
const stepUnderTest = "step_under_test"

// runStep runs one step in a task of its own. The steps whose results it reads are stubs.
func (s *service) runStep(ctx context.Context, r *request) (reply, error) {
	step := map[string]any{"name": stepUnderTest, "handler_class": r.HandlerClass}
	name, namespace := "test", "default"
	if r.Step != "" && r.HandlerClass == "" {
		given, template, err := s.stepOf(r)
		if err != nil {
			return nil, err
		}
		name, namespace = template.Name, template.Namespace
		step["name"], step["handler_class"] = given.Name, given.HandlerClass
		step["transaction"] = string(given.Transaction)
		if given.Timeout > 0 {
			step["timeout_seconds"] = given.Timeout.Seconds()
		}
		if len(r.Config) == 0 {
			r.Config = given.HandlerConfig
		}
	}
	attempt := max(r.Attempt, 1)
	step["default_retry_limit"], step["default_retryable"] = attempt, true
	if len(r.Config) > 0 {
		var config any
		if err := yaml.Unmarshal(r.Config, &config); err != nil { // JSON is YAML
			return nil, errors.Wrap(err, "the step's config")
		}
		step["handler_config"] = config
	}
	steps, parents := []any{}, []string{}
	for parent := range r.Results {
		if parent == step["name"] {
			return nil, errors.WithHintf(errors.Newf("results: names the step %q itself", parent), "Give the results of the steps that it depends on.")
		}
		parents = append(parents, parent)
	}
	slices.Sort(parents)
	for _, parent := range parents {
		steps = append(steps, map[string]any{"name": parent, "handler_class": "Stub"})
	}
	if len(parents) > 0 {
		step["depends_on_steps"] = parents
	}
	text, err := yaml.Marshal(map[string]any{
		"name": name, "namespace_name": namespace, "version": "0.0.0", "task_handler_class": "Test", "step_templates": append(steps, step),
	})
	if err != nil {
		return nil, errors.Wrap(err, "a template for the step")
	}
	template, err := templates.Parse(text, "run_step")
	if err != nil {
		return nil, err
	}
	for range attempt - 1 {
		err := s.bed.Add(testbed.Fault{Step: fmt.Sprint(step["name"]), Kind: testbed.Fail, Err: &orchestration.StepError{
			Class: "Tasker::RetryableError", Message: fmt.Sprintf("run_step wants attempt %d", attempt),
		}})
		if err != nil {
			return nil, err
		}
	}
	r.Stubs = r.Results
	return s.run(ctx, r, template)
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

// fault notes a fault for the attempts to come.
func (s *service) fault(r *request) error {
	f := testbed.Fault{
		Step: r.Step, Kind: testbed.Kind(r.Kind), At: testbed.Moment(r.At), Number: r.Number, Side: testbed.Side(r.Side), Times: r.Times,
	}
	if !r.Real {
		return s.bed.Add(f)
	}
	if s.cfg.Kill == nil {
		return errors.New("kill_host(real: true) needs a process of its own, which this program cannot start")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for range max(r.Times, 1) {
		s.kills = append(s.kills, f)
	}
	return nil
}

// seedOf returns a seed for the random numbers of an attempt: the same in each run of a
// task, and another one for each attempt.
func seedOf(x *orchestration.StepExecution) int64 {
	h := fnv.New64a()
	h.Write([]byte(x.StepName))
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(cmp.Or(x.Attempt, 1))))
	return int64(h.Sum64() >> 1)
}
