package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// An engine with settings of its own. Only Pool and Handlers are required.
func ExampleNew() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:             pool,
		Handlers:         orchestration.Handlers{},
		MaxParallelSteps: 4,               // of one task
		Grace:            5 * time.Second, // for handlers that do not stop when they should
		Logger:           slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(engine.Close())
	// Output: <nil>
}

// A database without the engine's tables is refused, with a hint.
func ExampleNew_withoutTables() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	_, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	fmt.Println(errors.Is(err, orchestration.ErrSchemaOlder))
	fmt.Println(errors.FlattenHints(err))
	// Output:
	// true
	// Create them with `tasker-rb migrate up`.
}

// Run tries a failed step again, waits as long as the template says, and returns
// when the task has ended.
func ExampleEngine_Run() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	call := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.Attempt == 1 {
			return nil, errors.New("the line is busy")
		}
		return json.Marshal("hello?")
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Call": orchestration.StepHandlerFunc(call)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: phone
step_templates:
  - name: call
    handler_class: Call
    default_retry_limit: 3
    backoff: {curve: exponential, base_seconds: 0.01}
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
	if err != nil {
		log.Fatal(err)
	}
	outcome, err := engine.Run(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	detail, err := engine.Task(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	call1, call2 := detail.Steps[0].History[0], detail.Steps[0].History[1]
	fmt.Println(call1.Number, call1.Outcome, call1.Err.Message)
	fmt.Println(call2.Number, call2.Outcome, string(call2.Results))
	fmt.Println(outcome.State)
	// Output:
	// 1 error the line is busy
	// 2 complete "hello?"
	// complete
}

// Handle does what can be done now, and says when to come back. It is for
// programs that have a schedule of their own.
func ExampleEngine_Handle() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	call := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return nil, errors.New("the line is busy")
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Call": orchestration.StepHandlerFunc(call)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: patience
step_templates:
  - name: call
    handler_class: Call
    default_retry_limit: 3
    backoff: {curve: linear, base_seconds: 60, jitter: 0}
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
	if err != nil {
		log.Fatal(err)
	}
	outcome, err := engine.Handle(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome.State, "and again in", time.Until(outcome.Next).Round(time.Minute))
	// Output: in_progress and again in 1m0s
}

// Close comes last: first end the context of the calls, and wait until they have
// returned. A step that was interrupted costs no attempt, and its task can be
// run again, by this program's next start or by another program.
func ExampleEngine_Close() {
	pool := openDatabase(context.Background())
	defer pool.Close()
	started := make(chan struct{})
	sleep := func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		close(started)
		<-ctx.Done() // a handler stops soon after its context has ended
		return nil, ctx.Err()
	}
	engine, err := orchestration.New(context.Background(), orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Sleep": orchestration.StepHandlerFunc(sleep)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	template := mustParse("name: nap\nstep_templates: [{name: sleep, handler_class: Sleep}]")
	task, err := engine.Submit(context.Background(), orchestration.Submission{Template: template})
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		_, err := engine.Run(ctx, task.TaskID)
		fmt.Println("interrupted:", errors.Is(err, context.Canceled))
	})
	<-started
	stop()
	running.Wait()
	if err := engine.Close(); err != nil {
		log.Fatal(err)
	}

	detail, err := orchestration.ReadTask(context.Background(), pool, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	sleeping := detail.Steps[0]
	fmt.Println(detail.State, sleeping.State, sleeping.Attempts)
	// Output:
	// interrupted: true
	// in_progress pending 0
}
