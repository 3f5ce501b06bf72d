package testbed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
)

// short is an entry in one word or two.
func short(entries []testbed.Entry) (all []string) {
	for _, e := range entries {
		text := e.Kind + " " + e.Step
		if e.Attempt > 1 {
			text += fmt.Sprint(" again ", e.Attempt)
		}
		if e.Number > 0 {
			text += fmt.Sprint(" ", e.Number)
		}
		all = append(all, text)
	}
	return all
}

var undisturbed = []string{
	"begin validate", "commit validate",
	"begin charge", "statement charge 1", "statement charge 2", "commit charge",
	"begin ship", "commit ship",
	"begin thank", "statement thank 1", "statement thank 2", "commit thank", "end ",
}

func TestARunSaysWhatHappened(t *testing.T) {
	t.Parallel()
	bed := open(t)
	begin(t, bed)
	r := run(t, bed, parse(t, shopYAML), testbed.RunOptions{})
	require.Equal(t, undisturbed, short(r.Trace))
	require.False(t, r.Reached)
	require.Len(t, r.Statements["charge"], 2)
	require.Empty(t, r.Statements["ship"])
	s := r.Statements["charge"][1]
	require.Equal(t, []any{1, 2, int64(1), "INSERT 0 1"}, []any{s.Attempt, s.Number, s.Rows, s.Tag})
	require.Contains(t, s.SQL, "insert into charges")
	require.Equal(t, orchestration.EventTaskStarted, r.Events[0].Kind)
	require.Equal(t, orchestration.EventTaskEnded, r.Events[len(r.Events)-1].Kind)
	left, err := bed.End(t.Context())
	require.NoError(t, err)
	require.Empty(t, left)
}

// Statements of each kind are counted once, whatever method of the transaction sends them.
func TestEachKindOfStatementIsCounted(t *testing.T) {
	t.Parallel()
	bed := open(t, func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
			"All": orchestration.StepHandlerFunc(everyStatement),
		}}
	})
	begin(t, bed)
	r := run(t, bed, parse(t, "name: all\nstep_templates: [{name: all, handler_class: All}]"), testbed.RunOptions{})
	var tags []string
	for i, s := range r.Statements["all"] {
		require.Equal(t, i+1, s.Number)
		require.NoError(t, s.Err)
		tags = append(tags, s.Tag)
	}
	require.Equal(t, []string{"INSERT 0 1", "SELECT 2", "SELECT 1", "COPY 1", "", "", "INSERT 0 1"}, tags)
}

// Each point of a run can be the place of a crash, and whatever place it is, the work is
// done once.
func TestACrashAtAnyPointLeavesTheWorkDoneOnce(t *testing.T) {
	t.Parallel()
	bed, template := open(t), parse(t, shopYAML)
	begin(t, bed)
	r := run(t, bed, template, testbed.RunOptions{})
	want, points := charged(t, bed), pointsOf(r.Trace)
	require.Len(t, want, 4)
	require.Len(t, points, 4+2*4+2*4)
	for _, p := range points {
		begin(t, bed)
		r := run(t, bed, template, testbed.RunOptions{Crash: &p})
		require.True(t, r.Reached, "%+v", p)
		require.Equal(t, want, charged(t, bed), "%+v", p)
		crashes := slices.DeleteFunc(slices.Clone(r.Trace), func(e testbed.Entry) bool { return e.Kind != testbed.EntryCrash })
		require.Len(t, crashes, 1)
		require.Equal(t, p.Step, crashes[0].Step)
		if p.At == testbed.AtCommit && p.Side == testbed.SideAfter {
			require.Equal(t, []string{"complete"}, outcomes(t, r.Task, p.Step), "%+v", p)
		} else {
			require.Equal(t, []string{"lost", "complete"}, outcomes(t, r.Task, p.Step), "%+v", p)
		}
		require.Equal(t, noon, bed.Now(), "a crash takes no time")
	}
	begin(t, bed)
	p := testbed.Point{Step: "charge", Attempt: 1, At: testbed.AtStatement, Number: 3}
	require.False(t, run(t, bed, template, testbed.RunOptions{Crash: &p}).Reached, "there is no third statement")
}

// pointsOf are the moments of a run at which it could crash.
func pointsOf(trace []testbed.Entry) (points []testbed.Point) {
	for _, e := range trace {
		p := testbed.Point{Step: e.Step, Attempt: e.Attempt, Number: e.Number}
		switch e.Kind {
		case testbed.EntryBegin:
			p.At = testbed.AtBegin
			points = append(points, p)
		case testbed.EntryStatement, testbed.EntryCommit:
			p.At = testbed.Moment(e.Kind)
			for _, p.Side = range []testbed.Side{testbed.SideBefore, testbed.SideAfter} {
				points = append(points, p)
			}
		}
	}
	return points
}

// A crash says which statements had been run.
func TestTheTraceEndsAtTheCrash(t *testing.T) {
	t.Parallel()
	bed, template := open(t), parse(t, shopYAML)
	for side, want := range map[testbed.Side][]string{
		testbed.SideBefore: {"begin charge", "statement charge 1", "crash charge", "begin charge again 2"},
		testbed.SideAfter:  {"begin charge", "statement charge 1", "statement charge 2", "crash charge", "begin charge again 2"},
	} {
		begin(t, bed)
		p := testbed.Point{Step: "charge", Attempt: 1, At: testbed.AtStatement, Number: 2, Side: side}
		r := run(t, bed, template, testbed.RunOptions{Crash: &p})
		require.Equal(t, want, short(r.Trace)[2:2+len(want)], side)
	}
}

// The results of stubbed steps come from the test. Their classes need not exist.
func TestStubs(t *testing.T) {
	t.Parallel()
	bed := open(t)
	template := parse(t, `
name: stubbed
step_templates:
  - {name: far, handler_class: NotThere, timeout_seconds: 60}
  - {name: charge, handler_class: Charge, depends_on_step: far}
`)
	begin(t, bed)
	add(t, bed, testbed.Fault{Step: "far", Kind: testbed.Crash, At: testbed.During})
	r := run(t, bed, template, testbed.RunOptions{Stubs: map[string]json.RawMessage{"far": []byte(`{"a":1}`)}})
	require.JSONEq(t, `{"a": 1}`, string(r.Task.Steps[0].Results()))
	require.Equal(t, []string{"lost", "complete"}, outcomes(t, r.Task, "far"))
	require.Len(t, charged(t, bed), 2)

	begin(t, bed)
	alone, err := bed.Run(t.Context(), orchestration.Submission{Template: template}, testbed.RunOptions{})
	require.NoError(t, err)
	_, err = bed.Run(t.Context(), orchestration.Submission{Template: template}, testbed.RunOptions{Stubs: map[string]json.RawMessage{"ship": []byte(`1`)}})
	require.ErrorContains(t, err, `has no step "ship" to stub`)

	// A class that another step's stub has in common is looked for late, and its absence
	// means the same.
	twice := parse(t, `
name: twice
step_templates:
  - {name: far, handler_class: NotThere}
  - {name: near, handler_class: NotThere, depends_on_step: far}
`)
	late, err := bed.Run(t.Context(), orchestration.Submission{Template: twice}, testbed.RunOptions{Stubs: map[string]json.RawMessage{"far": []byte(`1`)}})
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskInError, alone.Task.State)
	require.Equal(t, orchestration.TaskInError, late.Task.State)
	require.Equal(t, alone.Task.Steps[0].Last().Err, late.Task.Steps[1].Last().Err)
	require.Len(t, late.Task.Steps[1].History, 1)
}

const diamondYAML = `
name: diamond
step_templates:
  - {name: top, handler_class: Noted}
  - {name: left, handler_class: Noted, depends_on_step: top}
  - {name: below_left, handler_class: Noted, depends_on_step: left}
  - {name: right, handler_class: Noted, depends_on_step: top}
  - {name: bottom, handler_class: Noted, depends_on_steps: [below_left, right]}
`

// A serial run has one order, that of the template.
func TestASerialRunKeepsTheOrderOfTheTemplate(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	noted := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		most.Store(max(most.Load(), running.Add(1)))
		running.Add(-1)
		return nil, nil
	}
	bed := open(t, func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Noted": orchestration.StepHandlerFunc(noted)}}
	})
	template := parse(t, diamondYAML)
	var want []string
	for _, s := range template.Steps {
		want = append(want, s.Name)
	}
	for range effort.Of(5, 10) {
		begin(t, bed)
		add(t, bed, testbed.Fault{Step: "left", Kind: testbed.Crash, At: testbed.After})
		r := run(t, bed, template, testbed.RunOptions{Serial: true})
		var order []string
		for _, e := range r.Trace {
			if e.Kind == testbed.EntryCommit {
				order = append(order, e.Step)
			}
		}
		require.Equal(t, want, order)
	}
	require.Equal(t, int32(1), most.Load())
}

// Two steps that wait for each other need two engines, if each runs one step at a time.
func TestTwoEnginesWorkOnATask(t *testing.T) {
	t.Parallel()
	var meeting sync.WaitGroup
	meet := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.StepName == "left" || x.StepName == "right" {
			meeting.Done()
			meeting.Wait()
		}
		return nil, nil
	}
	bed := open(t, func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Noted": orchestration.StepHandlerFunc(meet)}}
		c.Engine.MaxParallelSteps = 1
	})
	template := parse(t, diamondYAML)
	for range 3 {
		begin(t, bed)
		meeting.Add(2)
		run(t, bed, template, testbed.RunOptions{Workers: 2})
	}
	// One of them crashes, and the other one, or its successor, takes over.
	begin(t, bed)
	meeting.Add(2)
	add(t, bed, testbed.Fault{Step: "bottom", Kind: testbed.Crash, At: testbed.During})
	r := run(t, bed, template, testbed.RunOptions{Workers: 2})
	require.Equal(t, []string{"lost", "complete"}, outcomes(t, r.Task, "bottom"))
}

// An effect joins the trace of its task while its attempt runs.
func TestEffects(t *testing.T) {
	t.Parallel()
	var bed *testbed.Bed
	mail := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		bed.Effect(testbed.Entry{TaskID: x.TaskID, Step: x.StepName, Attempt: x.Attempt, Effect: "socket", Detail: "mail.example:25", Key: "k"})
		bed.Effect(testbed.Entry{TaskID: x.TaskID, Step: x.StepName, Attempt: x.Attempt + 1, Effect: "file"})
		return nil, nil
	}
	bed = open(t, func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Mail": orchestration.StepHandlerFunc(mail)}}
	})
	begin(t, bed)
	r := run(t, bed, parse(t, "name: mail\nstep_templates: [{name: mail, handler_class: Mail}]"), testbed.RunOptions{})
	require.Equal(t, []string{"begin mail", "effect mail", "commit mail", "end "}, short(r.Trace))
	require.Equal(t, "mail.example:25", r.Trace[1].Detail)
	bed.Effect(testbed.Entry{TaskID: r.Task.TaskID, Step: "mail", Attempt: 1, Effect: "late"})
	require.Len(t, r.Trace, 4)
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	bed := open(t)
	begin(t, bed)
	for said, o := range map[string]testbed.RunOptions{
		"cannot be run by 3 engines":    {Workers: 3},
		"a serial run has one engine":   {Workers: 2, Serial: true},
		`cannot crash at "sleep"`:       {Crash: &testbed.Point{Step: "charge", Attempt: 1, At: testbed.Sleep}},
		"crash has the attempt 0":       {Crash: &testbed.Point{Step: "charge", At: testbed.AtBegin}},
		`has no step "nowhere" to stub`: {Stubs: map[string]json.RawMessage{"nowhere": nil}},
	} {
		_, err := bed.Run(t.Context(), orchestration.Submission{Template: parse(t, shopYAML)}, o)
		require.ErrorContains(t, err, said)
	}
	_, err := bed.Run(t.Context(), orchestration.Submission{}, testbed.RunOptions{})
	require.ErrorContains(t, err, "no template")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = bed.Run(ctx, orchestration.Submission{Template: parse(t, shopYAML)}, testbed.RunOptions{})
	require.ErrorIs(t, err, context.Canceled)
}
