package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A worker takes tasks that are due until its context ends, here with a signal.
// Start as many as you like, in as many processes: each step is run by one.
func ExampleEngine_Work() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	var sent, ended atomic.Int64
	send := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		sent.Add(1)
		return nil, nil
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Send": orchestration.StepHandlerFunc(send)}},
		OnEvent: func(e orchestration.Event) {
			if e.Kind == orchestration.EventTaskEnded && ended.Add(1) == 100 {
				stop() // this example has had enough; a program waits for its signal
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse("name: letter\nstep_templates: [{name: send, handler_class: Send}]")
	var letters []orchestration.Submission
	for range 100 {
		letters = append(letters, orchestration.Submission{Template: template})
	}
	if _, err := engine.SubmitMany(ctx, letters); err != nil {
		log.Fatal(err)
	}

	err = engine.Work(ctx, orchestration.WorkerConfig{MaxTasks: 20})
	fmt.Println(sent.Load(), err)
	// Output: 100 <nil>
}

// A worker that is stopped drains: it starts no more steps, and waits for the
// running ones. The next worker goes on with their tasks.
func ExampleEngine_Work_drain() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	working, stop := context.WithCancel(ctx)
	defer stop()
	slow := func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		stop() // the worker is told to stop while this handler runs
		select {
		case <-time.After(10 * time.Millisecond):
			return json.Marshal("in time")
		case <-ctx.Done(): // only when the drain is over
			return nil, ctx.Err()
		}
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Slow": orchestration.StepHandlerFunc(slow)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: slow
step_templates:
  - {name: first, handler_class: Slow}
  - {name: second, handler_class: Slow, depends_on_step: first}
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
	if err != nil {
		log.Fatal(err)
	}
	if err := engine.Work(working, orchestration.WorkerConfig{Drain: 20 * time.Second}); err != nil {
		log.Fatal(err)
	}
	detail, err := engine.Task(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.State)
	for _, step := range detail.Steps {
		fmt.Println(step.Name, step.State, string(step.Results()))
	}
	// Output:
	// in_progress
	// first complete "in time"
	// second pending
}
