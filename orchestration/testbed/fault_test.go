package testbed_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
)

// Each fault leaves the work done once, and the attempts say which it was.
func TestEveryFaultLeavesTheWorkDoneOnce(t *testing.T) {
	t.Parallel()
	bed, template := open(t), parse(t, shopYAML)
	begin(t, bed)
	run(t, bed, template, testbed.RunOptions{})
	want := charged(t, bed)
	again, lost := []string{"error", "complete"}, []string{"lost", "complete"}
	for _, c := range []struct {
		fault    testbed.Fault
		outcomes []string
	}{
		{testbed.Fault{Kind: testbed.Fail, Err: errors.New("no"), Times: 2}, []string{"error", "error", "complete"}},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.Before}, lost},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.During, Times: 2}, []string{"lost", "lost", "complete"}},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.After}, []string{"complete"}},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtStatement}, lost},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtStatement, Number: 2}, lost},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtStatement, Number: 2, Side: testbed.SideAfter}, lost},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtCommit}, lost},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtCommit, Side: testbed.SideAfter}, []string{"complete"}},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.Before}, again},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.AtStatement}, again},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.AtStatement, Number: 2, Times: 2}, []string{"error", "error", "complete"}},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.During}, lost},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.AtCommit}, lost},
		{testbed.Fault{Kind: testbed.CommitAnswer}, []string{"complete"}},
		{testbed.Fault{Kind: testbed.CommitAnswer, At: testbed.AtCommit}, []string{"complete"}},
		{testbed.Fault{Kind: testbed.Timeout, At: testbed.Start}, again},
		{testbed.Fault{Kind: testbed.Timeout, At: testbed.AtStatement}, again},
		{testbed.Fault{Kind: testbed.Timeout, At: testbed.AtStatement, Number: 2}, again},
	} {
		begin(t, bed)
		c.fault.Step = "charge"
		add(t, bed, c.fault)
		r := run(t, bed, template, testbed.RunOptions{})
		require.Equal(t, c.outcomes, outcomes(t, r.Task, "charge"), "%+v", c.fault)
		require.Equal(t, want, charged(t, bed), "%+v", c.fault)
		left, err := bed.End(t.Context())
		require.NoError(t, err)
		require.Empty(t, left, "%+v", c.fault)
	}
}

// A commit without SQL of the handler's can lose its connection and its answer, too.
func TestFaultsOfAStepWithoutSQL(t *testing.T) {
	t.Parallel()
	bed, template := open(t), parse(t, shopYAML)
	for _, f := range []testbed.Fault{
		{Step: "ship", Kind: testbed.CommitAnswer}, {Step: "ship", Kind: testbed.Connection, At: testbed.AtCommit},
		{Step: "ship", Kind: testbed.Crash, At: testbed.After}, {Step: "ship", Kind: testbed.Crash, At: testbed.During},
	} {
		begin(t, bed)
		add(t, bed, f)
		run(t, bed, template, testbed.RunOptions{})
		require.Len(t, charged(t, bed), 4, "%+v", f)
	}
}

// The statements of a step without a transaction commit one by one, and are places of faults
// like others.
func TestFaultsOfAStepWithoutATransaction(t *testing.T) {
	t.Parallel()
	twice := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		for range 2 {
			if _, err := x.SQL().Exec(ctx, &sqlsession.Statement{SQL: "insert into charges (cents) values (1)"}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	bed := open(t, func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Twice": orchestration.StepHandlerFunc(twice)}}
	})
	template := parse(t, "name: none\nstep_templates: [{name: a, handler_class: Twice, transaction: none, timeout_seconds: 60}]")
	for _, c := range []struct {
		fault testbed.Fault
		rows  int
		first string
	}{
		{testbed.Fault{Kind: testbed.Connection, At: testbed.AtStatement}, 2, "error"},
		{testbed.Fault{Kind: testbed.Connection, At: testbed.AtStatement, Number: 2}, 3, "error"},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtStatement, Number: 2}, 3, "lost"},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.AtStatement, Number: 2, Side: testbed.SideAfter}, 4, "lost"},
		{testbed.Fault{Kind: testbed.Timeout, At: testbed.AtStatement, Number: 2}, 3, "error"},
		{testbed.Fault{Kind: testbed.Crash, At: testbed.During}, 4, "lost"},
	} {
		begin(t, bed)
		c.fault.Step = "a"
		add(t, bed, c.fault)
		r := run(t, bed, template, testbed.RunOptions{})
		require.Equal(t, []string{c.first, "complete"}, outcomes(t, r.Task, "a"), "%+v", c.fault)
		require.Len(t, texts(t, bed, "select id::text from charges"), c.rows, "%+v", c.fault)
	}
}

// An attempt that is over in whatever way says so as one that took too long.
func TestAForcedTimeoutIsARealOne(t *testing.T) {
	t.Parallel()
	var bed *testbed.Bed
	var slow bool
	wait := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.Attempt > 1 {
			return nil, nil
		}
		if !slow && bed.Expires(x.TaskID, x.StepName, x.Attempt) {
			bed.Expire(x.TaskID, x.StepName, x.Attempt)
		}
		tx, err := x.Tx(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, "select pg_sleep(3600)")
		}
		return nil, err
	}
	bed = open(t, func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Wait": orchestration.StepHandlerFunc(wait)}}
	})
	attempts := func(timeout string, faults ...testbed.Fault) []orchestration.Attempt {
		begin(t, bed)
		add(t, bed, faults...)
		r := run(t, bed, parse(t, "name: wait\nstep_templates: [{name: wait, handler_class: Wait, default_retry_limit: 100, timeout_seconds: "+timeout+"}]"), testbed.RunOptions{})
		return r.Task.Steps[0].History
	}
	slow = true
	real := attempts("0.05")[0].Err // on a busy machine others are late, too; one of them is not
	slow = false
	require.Equal(t, "Tasker::StepTimeout", real.Class)
	for _, at := range []testbed.Moment{testbed.Start, testbed.AtStatement, testbed.Sleep} {
		history := attempts("7200", testbed.Fault{Step: "wait", Kind: testbed.Timeout, At: at})
		require.Len(t, history, 2)
		forced := history[0].Err
		require.Equal(t, "the step took longer than its 2h0m0s", forced.Message, at)
		forced.Message = real.Message
		require.Equal(t, real, forced, at)
	}
	require.False(t, bed.Expire(1, "wait", 1), "nothing runs")
}

// A fault whose moment did not come is left, and so is one of a step that was not run.
func TestUnmetFaults(t *testing.T) {
	t.Parallel()
	bed, template := open(t), parse(t, shopYAML)
	begin(t, bed)
	nowhere := testbed.Fault{Step: "nowhere", Kind: testbed.Crash, At: testbed.Before, Times: 2}
	third := testbed.Fault{Step: "charge", Kind: testbed.Connection, At: testbed.AtStatement, Number: 3, Times: 1}
	failed := testbed.Fault{Step: "thank", Kind: testbed.Fail, Err: errors.New("no"), Times: 2}
	add(t, bed, nowhere, third, failed)
	run(t, bed, template, testbed.RunOptions{})
	left, err := bed.End(t.Context())
	require.NoError(t, err)
	require.Equal(t, []testbed.Fault{nowhere, third}, left.Unmet)
	begin(t, bed)
	left, err = bed.End(t.Context())
	require.NoError(t, err)
	require.Empty(t, left)
}

// The faults of a step meet its attempts one after the other.
func TestFaultsComeInTurn(t *testing.T) {
	t.Parallel()
	bed := open(t)
	template := parse(t, "name: one\nstep_templates: [{name: charge, handler_class: Charge, default_retry_limit: 9, timeout_seconds: 60}]")
	begin(t, bed)
	add(t, bed,
		testbed.Fault{Step: "charge", Kind: testbed.Crash, At: testbed.AtStatement, Number: 2},
		testbed.Fault{Step: "charge", Kind: testbed.Timeout, At: testbed.Start},
		testbed.Fault{Step: "charge", Kind: testbed.Connection, At: testbed.AtCommit},
		testbed.Fault{Step: "charge", Kind: testbed.Fail, Err: errors.New("no")},
		testbed.Fault{Step: "charge", Kind: testbed.CommitAnswer})
	r := run(t, bed, template, testbed.RunOptions{})
	require.Equal(t, []string{"lost", "error", "lost", "error", "complete"}, outcomes(t, r.Task, "charge"))
	require.Len(t, charged(t, bed), 2)
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	bed := open(t)
	for said, f := range map[string]testbed.Fault{
		"names no step":                  {Kind: testbed.Crash, At: testbed.Before},
		`no kind of fault called "fire"`: {Step: "a", Kind: "fire"},
		`cannot come at "sleep"`:         {Step: "a", Kind: testbed.Crash, At: testbed.Sleep},
		"has no error":                   {Step: "a", Kind: testbed.Fail},
		"must not be negative":           {Step: "a", Kind: testbed.Crash, At: testbed.Before, Times: -1},
		`no side "left"`:                 {Step: "a", Kind: testbed.Crash, At: testbed.AtCommit, Side: "left"},
	} {
		require.ErrorContains(t, bed.Add(f), said)
	}
	template := parse(t, "name: none\nstep_templates: [{name: a, handler_class: Plain, transaction: none}]")
	for said, f := range map[string]testbed.Fault{
		"the step a has no timeout":                  {Step: "a", Kind: testbed.Timeout, At: testbed.Start},
		"the step a has `transaction: none`, and so": {Step: "a", Kind: testbed.CommitAnswer},
	} {
		begin(t, bed)
		add(t, bed, f)
		_, err := bed.Run(t.Context(), orchestration.Submission{Template: template}, testbed.RunOptions{})
		require.ErrorContains(t, err, said)
	}
}

// Of two engines, the one that lives waits for the handler of the other one, too.
func TestTheOtherEngineWaitsForAnAbandonedHandler(t *testing.T) {
	t.Parallel()
	var bed *testbed.Bed
	var running atomic.Int32
	var crashing, crashed chan struct{}
	handler := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if n := running.Add(1); n != 1 {
			t.Errorf("%d attempts run at once", n)
		}
		defer running.Add(-1)
		if x.Attempt == 1 {
			close(crashing)
			select {
			case <-ctx.Done():
			case <-crashed: // it was the other engine
				return nil, nil
			}
			time.Sleep(300 * time.Millisecond) // longer than the other engine takes to notice
		}
		return nil, nil
	}
	crash := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		<-crashing
		if x.Attempt == 2 {
			close(crashed)
		}
		return nil, nil
	}
	bed = open(t, func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
			"Slow": orchestration.StepHandlerFunc(handler), "Crash": orchestration.StepHandlerFunc(crash),
		}}
	})
	template := parse(t, "name: two\nstep_templates: [{name: slow, handler_class: Slow}, {name: crash, handler_class: Crash}]")
	for range 5 {
		crashing, crashed = make(chan struct{}), make(chan struct{})
		begin(t, bed)
		add(t, bed, testbed.Fault{Step: "crash", Kind: testbed.Crash, At: testbed.During})
		r := run(t, bed, template, testbed.RunOptions{Workers: 2})
		require.Contains(t, []int{1, 2}, len(r.Task.Steps[0].History))
	}
}

// A handler that is told to stop may take its time. The next engine waits for it.
func TestACrashWaitsForTheHandlersBeside(t *testing.T) {
	t.Parallel()
	var bed *testbed.Bed
	var running, crashed = make(chan struct{}), make(chan struct{})
	var beside int
	handler := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		switch {
		case x.Attempt > 1:
		case x.StepName == "slow":
			close(running)
			<-ctx.Done()
			close(crashed)
			time.Sleep(50 * time.Millisecond) // it takes its time, and must be over before the second attempt
			beside++
			return nil, ctx.Err()
		default:
			<-running
			return nil, nil
		}
		beside++
		return nil, nil
	}
	bed = open(t, func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"H": orchestration.StepHandlerFunc(handler)}}
		c.Engine.MaxParallelSteps = 2
	})
	begin(t, bed)
	add(t, bed, testbed.Fault{Step: "fast", Kind: testbed.Crash, At: testbed.During})
	r := run(t, bed, parse(t, "name: two\nstep_templates: [{name: slow, handler_class: H}, {name: fast, handler_class: H}]"), testbed.RunOptions{})
	<-crashed
	require.Equal(t, []string{"lost", "complete"}, outcomes(t, r.Task, "slow"))
	require.Equal(t, 3, beside)
}
