package rubytest

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	"github.com/cockroachdb/errors"

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
	if s.cfg.Events != nil {
		s.cfg.Events.Flush(ctx)
	}
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
