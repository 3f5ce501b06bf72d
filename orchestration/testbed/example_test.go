package testbed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
)

// A test of any framework: it begins, runs a task, and ends. In these examples, shop is a
// template with the steps validate, charge, ship and thank, and newBed calls Open.
func Example() {
	ctx := context.Background()
	bed, closeBed := newBed()
	defer closeBed()

	if err := bed.Begin(ctx, noon); err != nil {
		panic(err)
	}
	run, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{})
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Task.State)
	for _, e := range run.Trace[:4] {
		fmt.Println(e.Kind, e.Step, e.Number)
	}
	// Output:
	// complete
	// begin validate 0
	// commit validate 0
	// begin charge 0
	// statement charge 1
}

// The database has Tasker's tables already, and those of the handlers.
func ExampleOpen() {
	ctx := context.Background()
	bed, err := testbed.Open(ctx, testbed.Config{
		URL:      databaseURL(),
		Engine:   orchestration.Config{Handlers: handlers()},
		SQLClock: true,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(bed.Close())
	// Output: <nil>
}

// Close leaves the database as the first test has found it.
func ExampleBed_Close() {
	bed, closeBed := newBed()
	defer closeBed()
	fmt.Println(bed.Close())
	// Output: <nil>
}

// The second test finds nothing of the first one.
func ExampleBed_Begin() {
	ctx := context.Background()
	bed, closeBed := newBed()
	defer closeBed()
	for range 2 {
		if err := bed.Begin(ctx, noon); err != nil {
			panic(err)
		}
		run, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{})
		if err != nil {
			panic(err)
		}
		fmt.Println("task", run.Task.TaskID)
	}
	// Output:
	// task 1
	// task 1
}

// A fault that met no attempt is a mistake of the test: here, of a step that does not exist.
func ExampleBed_End() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	if err := bed.Add(testbed.Fault{Step: "chrage", Kind: testbed.Crash, At: testbed.During}); err != nil {
		panic(err)
	}
	left, err := bed.End(ctx)
	if err != nil {
		panic(err)
	}
	for _, f := range left.Unmet {
		fmt.Println(f.Kind, f.At, "of", f.Step)
	}
	// Output: crash during of chrage
}

// The engine crashes when the handler has returned, and nothing is recorded. Another one
// runs the step again.
func ExampleBed_Add() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	if err := bed.Add(testbed.Fault{Step: "charge", Kind: testbed.Crash, At: testbed.During}); err != nil {
		panic(err)
	}
	run, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{})
	if err != nil {
		panic(err)
	}
	for _, a := range run.Task.Steps[1].History {
		fmt.Println(a.Number, a.Outcome)
	}
	// Output:
	// 1 lost
	// 2 complete
}

// A run can crash at any moment that the trace of another run shows.
func ExampleBed_Run() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	run, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{
		Stubs: map[string]json.RawMessage{"ship": json.RawMessage(`{"parcel": 17}`)},
		Crash: &testbed.Point{Step: "charge", Attempt: 1, At: testbed.AtStatement, Number: 2, Side: testbed.SideAfter},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Reached, run.Task.State, string(run.Task.Steps[2].Results()))
	// Output: true complete {"parcel": 17}
}

// Finish runs a task that the program itself has submitted.
func ExampleBed_Finish() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	engine, err := bed.Engine(ctx)
	if err != nil {
		panic(err)
	}
	task, err := engine.Submit(ctx, orchestration.Submission{Template: shop(), RunAt: noon.Add(24 * time.Hour)})
	if err != nil {
		panic(err)
	}
	detail, err := bed.Finish(ctx, task.TaskID)
	fmt.Println(detail.State, bed.Now().Sub(noon), err)
	// Output: complete 24h0m0s <nil>
}

// The engine does whatever a program can do with one.
func ExampleBed_Engine() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	engine, err := bed.Engine(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(engine.Ready())
	// Output: <nil>
}

// A worker takes the tasks that a program submits.
func ExampleBed_Work() {
	ended := make(chan orchestration.TaskState, 1)
	bed, closeBed := begun(func(c *testbed.Config) {
		c.Engine.OnEvent = func(e orchestration.Event) {
			if e.Kind == orchestration.EventTaskEnded {
				ended <- e.TaskState
			}
		}
	})
	defer closeBed()
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- bed.Work(ctx, orchestration.WorkerConfig{}) }()
	engine, err := bed.Engine(ctx)
	if err != nil {
		panic(err)
	}
	if _, err := engine.Submit(ctx, orchestration.Submission{Template: shop()}); err != nil {
		panic(err)
	}
	fmt.Println(<-ended)
	stop()
	fmt.Println(<-stopped)
	// Output:
	// complete
	// <nil>
}

// The pool serves the test's own statements.
func ExampleBed_Pool() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	if _, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{}); err != nil {
		panic(err)
	}
	var cents int
	err := bed.Pool().QueryRow(ctx, "select sum(cents) from charges").Scan(&cents)
	fmt.Println(cents, err)
	// Output: 3100 <nil>
}

// What a test does after Save can be undone, and done again in another way.
func ExampleBed_Save() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	if _, err := bed.Pool().Exec(ctx, "insert into prices values ('ink', 99)"); err != nil {
		panic(err)
	}
	saved, err := bed.Save(ctx)
	if err != nil {
		panic(err)
	}
	for range 2 {
		run, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{})
		if err != nil {
			panic(err)
		}
		fmt.Println("task", run.Task.TaskID)
		if err := bed.Restore(ctx, saved); err != nil {
			panic(err)
		}
	}
	// Output:
	// task 1
	// task 1
}

// Restore takes the clock back, too.
func ExampleBed_Restore() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	saved, err := bed.Save(ctx)
	if err != nil {
		panic(err)
	}
	bed.Advance(noon.Add(time.Hour))
	fmt.Println(bed.Restore(ctx, saved), bed.Now().Equal(noon))
	// Output: <nil> true
}

// The clock stands still, until a task waits for a retry.
func ExampleBed_Now() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	if err := bed.Add(testbed.Fault{Step: "ship", Kind: testbed.Fail, Err: errors.New("the truck is late")}); err != nil {
		panic(err)
	}
	if _, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{}); err != nil {
		panic(err)
	}
	fmt.Println(bed.Now().Sub(noon))
	// Output: 1s
}

// Advance never sets the clock back.
func ExampleBed_Advance() {
	bed, closeBed := begun()
	defer closeBed()
	bed.Advance(noon.Add(time.Hour))
	bed.Advance(noon)
	fmt.Println(bed.Now().Sub(noon))
	// Output: 1h0m0s
}

// SetTime does, as long as there is no task.
func ExampleBed_SetTime() {
	ctx := context.Background()
	bed, closeBed := begun()
	defer closeBed()
	fmt.Println(bed.SetTime(ctx, noon.Add(-time.Hour)))
	if _, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{}); err != nil {
		panic(err)
	}
	fmt.Println(bed.SetTime(ctx, noon.Add(-2*time.Hour)))
	// Output:
	// <nil>
	// testbed: the clock cannot be set back, because a task has run in this test
}

// The host of another language knows when a handler sleeps. If the test wants the step to
// time out there, its time is over at once.
func ExampleBed_Expire() {
	ctx := context.Background()
	var bed *testbed.Bed
	sleep := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if bed.Expires(x.TaskID, x.StepName, x.Attempt) {
			bed.Expire(x.TaskID, x.StepName, x.Attempt)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	}
	bed, closeBed := begun(func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{
			ByClass: map[string]orchestration.StepHandler{"Charge": orchestration.StepHandlerFunc(sleep)}, Next: handlers(),
		}
	})
	defer closeBed()
	if err := bed.Add(testbed.Fault{Step: "charge", Kind: testbed.Timeout, At: testbed.Sleep}); err != nil {
		panic(err)
	}
	run, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{})
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Task.Steps[1].History[0].Err)
	// Output: Tasker::StepTimeout: the step took longer than its 1m0s
}

// Without a fault in the handler's sleep, it sleeps as long as it wants.
func ExampleBed_Expires() {
	bed, closeBed := begun()
	defer closeBed()
	fmt.Println(bed.Expires(1, "charge", 1))
	// Output: false
}

// Whoever watches the handlers' sockets and files adds what it sees to the trace.
func ExampleBed_Effect() {
	ctx := context.Background()
	var bed *testbed.Bed
	call := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		bed.Effect(testbed.Entry{TaskID: x.TaskID, Step: x.StepName, Attempt: x.Attempt, Effect: "http", Detail: "POST bank.example"})
		return nil, nil
	}
	bed, closeBed := begun(func(c *testbed.Config) {
		c.Engine.Handlers = orchestration.Handlers{
			ByClass: map[string]orchestration.StepHandler{"Charge": orchestration.StepHandlerFunc(call)}, Next: handlers(),
		}
	})
	defer closeBed()
	run, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{})
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Trace[3].Kind, run.Trace[3].Detail)
	// Output: effect POST bank.example
}

// A connection of the test's own reads the time of the clock, too.
func ExampleBed_SearchPath() {
	ctx := context.Background()
	bed, err := testbed.Open(ctx, testbed.Config{
		URL: databaseURL(), Engine: orchestration.Config{Handlers: handlers()}, SQLClock: true,
	})
	if err != nil {
		panic(err)
	}
	defer bed.Close()
	fmt.Println(bed.SearchPath()) // it was public
	// Output: public, tasker_testbed, pg_catalog
}

// The process that is to die is the test's own affair.
func ExampleBed_ExpectCrash() {
	ctx := context.Background()
	bed, closeBed := newBed()
	defer closeBed()
	if err := bed.Begin(ctx, noon); err != nil {
		panic(err)
	}
	run, err := bed.Run(ctx, orchestration.Submission{Template: shop()}, testbed.RunOptions{
		Submitted: func(_ context.Context, taskID int64) error {
			bed.ExpectCrash() // here a process begins with the task, and is killed
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(run.Task.State)
	// Output: complete
}
