package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// handClock is a clock that is set by hand. It wakes nobody: the example below calls Handle,
// which does not wait.
type handClock struct{ now time.Time }

func (c *handClock) Now() time.Time { return c.now }

func (c *handClock) At(time.Time, orchestration.Wait, func()) (stop func()) { return func() {} }

// A program that sets the clock itself. Its tests use package orchestrationtest, whose clock
// skips the waits. Without Clock, the time is the database's.
func ExampleClock() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	clock := &handClock{now: time.Date(2030, 1, 1, 9, 0, 0, 0, time.UTC)}
	call := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.Attempt < 3 {
			return nil, errors.New("the line is busy")
		}
		return json.Marshal("hello?")
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Call": orchestration.StepHandlerFunc(call)}},
		Clock:    clock,
		Random:   func() float64 { return 0.5 }, // the middle of the jitter: none
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: clock
step_templates:
  - name: call
    handler_class: Call
    default_retry_limit: 3
    backoff: {curve: exponential, base_seconds: 60, max_seconds: 3600}
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
	if err != nil {
		log.Fatal(err)
	}
	for {
		outcome, err := engine.Handle(ctx, task.TaskID)
		if err != nil {
			log.Fatal(err)
		}
		if outcome.State.Final() {
			fmt.Println(clock.now.Format(time.TimeOnly), outcome.State)
			return
		}
		fmt.Println(clock.now.Format(time.TimeOnly), outcome.State)
		clock.now = outcome.Next
	}
	// Output:
	// 09:00:00 in_progress
	// 09:01:00 in_progress
	// 09:03:00 complete
}
