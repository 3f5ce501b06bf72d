package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Events are for metrics, logs and progress. Each is told after it was recorded,
// in order for each task. The function should return quickly.
func ExampleConfig_onEvent() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	bake := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.StepName == "bread" && x.Attempt == 1 {
			return nil, errors.New("the oven is cold")
		}
		return json.Marshal("baked")
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Bake": orchestration.StepHandlerFunc(bake)}},
		OnEvent: func(e orchestration.Event) {
			switch e.Kind {
			case orchestration.EventStepCompleted:
				fmt.Println(e.Kind, e.Step, string(e.Results))
			case orchestration.EventStepRetrying, orchestration.EventStepFailed:
				fmt.Printf("%s %s (attempt %d of %d): %s\n", e.Kind, e.Step, e.Attempt, e.RetryLimit, e.Err.Message)
			case orchestration.EventTaskStarted, orchestration.EventTaskEnded:
				fmt.Println(e.Kind, e.TaskState)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: bakery
step_templates:
  - {name: bread, handler_class: Bake, default_retry_limit: 2, backoff: {curve: none}}
  - {name: cake, handler_class: Bake, depends_on_step: bread}
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := engine.Run(ctx, task.TaskID); err != nil {
		log.Fatal(err)
	}
	// Output:
	// task_started in_progress
	// step_retrying bread (attempt 1 of 2): the oven is cold
	// step_completed bread "baked"
	// step_completed cake "baked"
	// task_ended complete
}

// Facts tells more of the task, for those events that need it.
func ExampleEvent_Facts() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	fry := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.StepName == "egg" {
			return nil, &orchestration.StepError{Class: "Rotten", Message: "the egg is bad", Permanent: true}
		}
		return json.Marshal("fried")
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Fry": orchestration.StepHandlerFunc(fry)}},
		OnEvent: func(e orchestration.Event) {
			if e.Kind != orchestration.EventTaskEnded {
				return
			}
			facts := e.Facts()
			fmt.Println(e.TaskState, string(facts.Context))
			for _, s := range facts.Steps {
				if s.Err != nil {
					fmt.Println(s.Name, s.State, s.Err.Message)
				} else {
					fmt.Println(s.Name, s.State)
				}
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: breakfast
step_templates:
  - {name: bacon, handler_class: Fry}
  - {name: egg, handler_class: Fry, depends_on_step: bacon}
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(`{"table":7}`)})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := engine.Run(ctx, task.TaskID); err != nil {
		log.Fatal(err)
	}
	// Output:
	// error {"table":7}
	// bacon complete
	// egg error the egg is bad
}
