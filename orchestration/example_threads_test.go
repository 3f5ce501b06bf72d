package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// onePrinter is a HandlerResolver whose handlers need a printer, and there is only one.
type onePrinter struct{ printer *orchestration.Threads }

func (p onePrinter) ResolveHandler(_ context.Context, class string) (orchestration.StepHandler, error) {
	if class != "Print" {
		return nil, orchestration.ErrHandlerNotFound
	}
	return orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return json.Marshal(fmt.Sprintf("%d of %d printers busy", p.printer.Busy(), p.printer.Count()))
	}), nil
}

// ThreadsOf makes it an orchestration.Threaded.
func (p onePrinter) ThreadsOf(string) *orchestration.Threads { return p.printer }

// Threads limit how many handlers run at once in this process. A step is claimed when a
// thread is free for it, so its time does not run while it waits.
func ExampleNewThreads() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: onePrinter{orchestration.NewThreads(1)}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	task, err := engine.Submit(ctx, orchestration.Submission{Template: mustParse(`
name: letters
step_templates:
  - {name: first, handler_class: Print}
  - {name: second, handler_class: Print}
`)})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := engine.Run(ctx, task.TaskID); err != nil {
		log.Fatal(err)
	}
	detail, err := engine.Task(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range detail.Steps {
		fmt.Println(s.Name, string(s.Results()))
	}
	// Output:
	// first "1 of 1 printers busy"
	// second "1 of 1 printers busy"
}

// A pool that has a queue of its own may be given more handlers than it has threads, while
// they are quick. A handler that has waited there in vain returns ErrNotBegun.
func ExampleNewQueuedThreads() {
	threads := orchestration.NewQueuedThreads(1, 8)
	turn := make(chan struct{}, threads.Count())
	handler := orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		select {
		case turn <- struct{}{}:
		case <-x.Withdraw:
			return nil, orchestration.ErrNotBegun
		}
		defer func() { <-turn }()
		return json.Marshal("done")
	})
	results, err := handler.HandleStep(context.Background(), &orchestration.StepExecution{})
	fmt.Println(string(results), err)
	// Output: "done" <nil>
}

// Handlers of ByClass need no threads. Those of Next need what Next says.
func ExampleHandlers_ThreadsOf() {
	print := orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { return nil, nil })
	handlers := orchestration.Handlers{
		ByClass: map[string]orchestration.StepHandler{"Preview": print},
		Next:    onePrinter{orchestration.NewThreads(1)},
	}
	fmt.Println(handlers.ThreadsOf("Preview") == nil, handlers.ThreadsOf("Print") == nil)
	// Output: true false
}

// Count is what NewThreads was given.
func ExampleThreads_Count() {
	fmt.Println(orchestration.NewThreads(8).Count())
	// Output: 8
}

// Busy is for metrics.
func ExampleThreads_Busy() {
	fmt.Println(orchestration.NewThreads(8).Busy())
	// Output: 0
}
