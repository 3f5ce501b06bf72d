package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// seams runs a step twice if its first attempt fails, and returns what became of the first.
func seams(ctx context.Context, call orchestration.StepHandlerFunc) (engine *orchestration.Engine, first orchestration.Attempt, end func()) {
	pool := openDatabase(ctx)
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool: pool, Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Call": call}},
		Random: func() float64 { return 0.5 },
	})
	if err != nil {
		log.Fatal(err)
	}
	template := mustParse("name: seams\nstep_templates: [{name: call, handler_class: Call, timeout_seconds: 7200, default_retryable: false}]")
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
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
	return engine, detail.Steps[0].History[0], func() {
		_ = engine.Close()
		pool.Close()
	}
}

// A timeout of two hours, without the wait.
func ExampleStepExecution_Expire() {
	_, first, end := seams(context.Background(), func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		x.Expire()
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	defer end()
	fmt.Println(first.Outcome, first.Err)
	// Output: error Tasker::StepTimeout: the step took longer than its 2h0m0s
}

// Between two tests, all tasks and templates are deleted beneath the engine. Then it must
// not believe that it has stored a template.
func ExampleEngine_Forget() {
	ctx := context.Background()
	engine, _, end := seams(ctx, func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { return nil, nil })
	defer end()
	if _, err := engine.Pool().Exec(ctx, "truncate tasker.templates, tasker.tasks cascade"); err != nil {
		log.Fatal(err)
	}
	engine.Forget()
	template := mustParse("name: seams\nstep_templates: [{name: call, handler_class: Call, timeout_seconds: 7200, default_retryable: false}]")
	_, err := engine.Submit(ctx, orchestration.Submission{Template: template})
	fmt.Println(err)
	// Output: <nil>
}
