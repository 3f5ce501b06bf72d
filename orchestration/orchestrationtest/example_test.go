package orchestrationtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/orchestrationtest"
)

// A test of a task. In these examples, t stands for the *testing.T of the test that they
// would be in, and shop for templates.Load.
func Example() {
	t := newRecorder() // func TestAnOrderIsCharged(t *testing.T)
	defer t.end()

	env := orchestrationtest.New(t, config(), tables)
	task := env.Run(t, shop(t), order{Cents: 1250})
	orchestrationtest.RequireComplete(t, task)
	fmt.Println(orchestrationtest.ResultOf[string](t, task, "thank"))
	// Output: thank you for 1250 cents
}

// The handlers are given by class, as to an engine. The function makes the tables that they
// use.
func ExampleNew() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, orchestration.Config{
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
			"Charge": orchestration.Handle(charge),
			"Thank":  orchestration.Handle(thank),
		}},
	}, tables)
	fmt.Println(env.Engine().Ready())
	// Output: <nil>
}

// Run returns the task when it has ended, also if it ended in error.
func ExampleEnv_Run() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	task := env.Run(t, shop(t), map[string]any{"cents": "many"})
	fmt.Println(task.State)
	fmt.Println(task.Steps[0].Last().Err.Message)
	// Output:
	// error
	// the task's context does not fit orchestrationtest_test.order at cents: cannot unmarshal string into Go value of type int64
}

// Finish runs a task that the program itself has submitted.
func ExampleEnv_Finish() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	submitted, err := env.Engine().Submit(t.Context(), orchestration.Submission{
		Template: shop(t), Context: []byte(`{"cents": 5}`), IdentityKey: "order 17", RunAt: env.Now().Add(24 * time.Hour),
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	began := env.Now()
	task := env.Finish(t, submitted.TaskID)
	fmt.Println(task.State, "after", env.Now().Sub(began))
	// Output: complete after 24h0m0s
}

// A step that fails is tried again after its backoff: a day, and then two. The test does not
// wait for that.
func ExampleEnv_Fail() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	env.Fail("charge", 2, errors.New("the bank is closed"))
	began := env.Now()
	task := env.Run(t, shop(t), order{Cents: 5})
	step := orchestrationtest.RequireStep(t, task, "charge", orchestration.StepComplete)
	fmt.Println(len(step.History), "attempts in", env.Now().Sub(began))
	// Output: 3 attempts in 72h0m0s
}

// The engine crashes when the card has been charged outside the database, and nothing is
// recorded. Another engine runs the step again: a handler must send the same idempotency
// key each time.
func ExampleEnv_Crash() {
	t := newRecorder()
	defer t.end()
	calls := 0
	pay := func(context.Context, order, *orchestration.StepExecution) (string, error) {
		calls++ // a call of the bank
		return "paid", nil
	}
	env := orchestrationtest.New(t, config(func(c *orchestration.Config) {
		c.Handlers.(orchestration.Handlers).ByClass["Charge"] = orchestration.Handle(pay)
		c.Handlers.(orchestration.Handlers).ByClass["Thank"] = orchestration.Handle(pay)
	}))
	env.Crash("charge", orchestrationtest.During)
	task := env.Run(t, shop(t), order{Cents: 5})
	orchestrationtest.RequireComplete(t, task)
	for _, a := range task.Steps[0].History {
		fmt.Println(a.Number, a.Outcome)
	}
	fmt.Println(calls, "calls for 2 steps")
	// Output:
	// 1 lost
	// 2 complete
	// 3 calls for 2 steps
}

// The answer to a commit is lost. The engine finds out that the commit was made, and the
// step is not run again.
func ExampleEnv_LoseConnection() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	env.LoseConnection("charge", orchestrationtest.After)
	orchestrationtest.RequireComplete(t, env.Run(t, shop(t), order{Cents: 5}))
	var charges int
	if err := env.Pool().QueryRow(t.Context(), "select count(*) from charges").Scan(&charges); err != nil {
		t.Fatalf("%v", err)
	}
	fmt.Println(charges, "charge")
	// Output: 1 charge
}

// The clock also goes on by hand, for what does not wait for it: here, for the age of tasks
// that are deleted.
func ExampleEnv_Travel() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	env.Run(t, shop(t), order{Cents: 5})
	env.Travel(90 * 24 * time.Hour)
	pruned, err := env.Engine().Prune(t.Context(), orchestration.PruneOptions{OlderThan: 30 * 24 * time.Hour})
	fmt.Println(pruned.Tasks, err)
	// Output: 1 <nil>
}

// The clock stands still, so times can be compared exactly. Handlers that need the time take
// it from a function, which is env.Now in tests.
func ExampleEnv_Now() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	began := env.Now()
	task := env.Run(t, shop(t), order{Cents: 5})
	fmt.Println(task.EndedAt.Equal(began), env.Now().Equal(began))
	// Output: true true
}

// A worker takes the tasks that a program submits, as in production.
func ExampleEnv_Work() {
	t := newRecorder()
	defer t.end()
	ended := make(chan orchestration.TaskState, 1)
	env := orchestrationtest.New(t, config(func(c *orchestration.Config) {
		c.OnEvent = func(e orchestration.Event) {
			if e.Kind == orchestration.EventTaskEnded {
				ended <- e.TaskState
			}
		}
	}), tables)
	env.Crash("charge", orchestrationtest.Before)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- env.Work(ctx, orchestration.WorkerConfig{}) }()
	_, err := env.Engine().Submit(t.Context(), orchestration.Submission{Template: shop(t), Context: []byte(`{"cents": 5}`)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	fmt.Println(<-ended)
	stop()
	fmt.Println(<-stopped)
	// Output:
	// complete
	// <nil>
}

// The engine does whatever a program can do with one.
func ExampleEnv_Engine() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	env.Fail("charge", 4, errors.New("the bank is closed"))
	task := env.Run(t, shop(t), order{Cents: 5})
	err := env.Engine().ResolveStep(t.Context(), task.TaskID, "charge", []byte("5"), orchestration.By{Actor: "Ada", Reason: "paid in cash"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	fmt.Println(env.Finish(t, task.TaskID).State)
	// Output: complete
}

// The pool serves the test's own statements.
func ExampleEnv_Pool() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	env.Run(t, shop(t), order{Cents: 5})
	var cents int
	err := env.Pool().QueryRow(t.Context(), "select sum(cents) from charges").Scan(&cents)
	fmt.Println(cents, err)
	// Output: 5 <nil>
}
