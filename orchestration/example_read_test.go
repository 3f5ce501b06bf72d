package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// runDinner runs a task whose second step fails at first, and which ends in
// error with its third. It returns the task's number.
func runDinner(ctx context.Context, pool *pgxpool.Pool) int64 {
	cook := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		switch {
		case x.StepName == "roast" && x.Attempt == 1:
			return nil, errors.New("the oven is cold")
		case x.StepName == "serve":
			return nil, &orchestration.StepError{Class: "Table::Missing", Message: "there is no table", Permanent: true}
		}
		return json.Marshal(x.StepName + " is ready")
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Cook": orchestration.StepHandlerFunc(cook)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: dinner
step_templates:
  - {name: peel, handler_class: Cook}
  - {name: roast, handler_class: Cook, depends_on_step: peel, backoff: {curve: none}}
  - {name: serve, handler_class: Cook, depends_on_step: roast}
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Tags: []string{"evening"}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := engine.Run(ctx, task.TaskID); err != nil {
		log.Fatal(err)
	}
	return task.TaskID
}

// Task reads a task back whole: each step with all its attempts, and the audit,
// in which every change of state has its reason.
func ExampleEngine_Task() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	detail, err := engine.Task(ctx, runDinner(ctx, pool))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.Namespace, detail.Name, detail.State)
	for _, step := range detail.Steps {
		fmt.Println(" ", step.Name, step.State)
		for _, attempt := range step.History {
			fmt.Println("   ", attempt.Number, attempt.Outcome)
		}
	}
	for _, change := range detail.Transitions {
		fmt.Printf("%q to %q\n", change.From, change.To)
	}
	// Output:
	// default dinner error
	//   peel complete
	//     1 complete
	//   roast complete
	//     1 error
	//     2 complete
	//   serve error
	//     1 error
	// "" to "pending"
	// "pending" to "in_progress"
	// "in_progress" to "error"
}

// A program that only looks needs no engine.
func ExampleReadTask() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	detail, err := orchestration.ReadTask(ctx, pool, runDinner(ctx, pool))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.Name, detail.Tags, detail.State)
	_, err = orchestration.ReadTask(ctx, pool, 1_000_000_000)
	fmt.Println(errors.Is(err, orchestration.ErrTaskNotFound))
	// Output:
	// dinner [evening] error
	// true
}

// Results returns what the step ended with: the results of its last attempt, or
// the ones that a person resolved it with.
func ExampleStepDetail_Results() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	detail, err := orchestration.ReadTask(ctx, pool, runDinner(ctx, pool))
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range detail.Steps {
		fmt.Printf("%s: %s.\n", step.Name, step.Results())
	}
	// Output:
	// peel: "peel is ready".
	// roast: "roast is ready".
	// serve: .
}

// Last is the latest attempt that has an outcome: why a step failed, for example.
func ExampleStepDetail_Last() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	detail, err := orchestration.ReadTask(ctx, pool, runDinner(ctx, pool))
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range detail.Steps {
		if last := step.Last(); last != nil && last.Err != nil {
			fmt.Println(step.Name, last.Err.Class, last.Err.Message)
		}
	}
	// Output: serve Table::Missing there is no table
}

// Tasks lists tasks, the newest first. A filter selects by name, state, tags, age
// or the class of the latest error.
func ExampleEngine_Tasks() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	runDinner(ctx, pool)
	runDinner(ctx, pool)

	failed, err := engine.Tasks(ctx, orchestration.Filter{
		States:     []orchestration.TaskState{orchestration.TaskInError},
		Tags:       []string{"evening"},
		ErrorClass: "Table::Missing",
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, task := range failed {
		fmt.Printf("%d %s: %d of %d steps done, %s failed with %s\n", task.TaskID, task.Name, task.Done, task.Steps, task.FailedStep, task.ErrorClass)
	}
	// Output:
	// 2 dinner: 2 of 3 steps done, serve failed with Table::Missing
	// 1 dinner: 2 of 3 steps done, serve failed with Table::Missing
}

// Workers lists the engines that live and work: what they take, and how busy they are. An
// engine that only submits or reads is not one of them.
func ExampleEngine_Workers() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	workers, err := engine.Workers(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, w := range workers {
		fmt.Printf("%s %d: %d of %d threads are busy, %d tasks\n", w.Host, w.PID, w.Busy, w.Threads, w.Held)
	}
	fmt.Println(len(workers), "workers")
	// Output: 0 workers
}

// A worker's program may say more about itself than the engine knows. Whoever lists the
// workers reads it, in any process.
func ExampleEngine_Report() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	working, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { _ = engine.Work(working, orchestration.WorkerConfig{}) })
	if err := engine.Report(json.RawMessage(`{"release": "2026-02-03"}`)); err != nil {
		log.Fatal(err)
	}
	for reported := false; !reported; time.Sleep(10 * time.Millisecond) { // the next heartbeat has it
		workers, err := engine.Workers(ctx)
		if err != nil {
			log.Fatal(err)
		}
		for _, w := range workers {
			if reported = w.Report != nil; reported {
				fmt.Println(string(w.Report))
			}
		}
	}
	stop()
	ended.Wait()
	// Output: {"release": "2026-02-03"}
}

// Stats tells a monitor how many tasks there are in each state, and how long the oldest one
// has waited for a worker.
func ExampleEngine_Stats() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	runDinner(ctx, pool)
	template := mustParse("name: letter\nstep_templates: [{name: send, handler_class: Send}]")
	if _, err := engine.Submit(ctx, orchestration.Submission{Template: template}); err != nil {
		log.Fatal(err)
	}

	stats, err := engine.Stats(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.Tasks[orchestration.TaskInError], "in error,", stats.Due, "due")
	if stats.Oldest != nil {
		fmt.Printf("task %d (%s) waits, less than a minute: %v\n", stats.Oldest.TaskID, stats.Oldest.Name, stats.Oldest.Waits < time.Minute)
	}
	// Output:
	// 1 in error, 1 due
	// task 2 (letter) waits, less than a minute: true
}

// TaskSummary.WaitsFor says why no worker takes a task.
func ExampleUnserved_String() {
	fmt.Println(&orchestration.Unserved{Classes: []string{"Shop::Ship"}})
	fmt.Println(&orchestration.Unserved{Queue: "bulk"})
	// Output:
	// no live worker has Shop::Ship
	// no live worker takes queue bulk
}

// A long list is read in pages: Below continues behind the last task of a page.
func ExampleListTasks() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	for range 3 {
		runDinner(ctx, pool)
	}
	filter := orchestration.Filter{Limit: 2}
	for {
		page, err := orchestration.ListTasks(ctx, pool, filter) // no engine is needed
		if err != nil {
			log.Fatal(err)
		}
		if len(page) == 0 {
			return
		}
		var numbers []int64
		for _, task := range page {
			numbers = append(numbers, task.TaskID)
		}
		fmt.Println(numbers)
		filter.Below = page[len(page)-1].TaskID
	}
	// Output:
	// [3 2]
	// [1]
}

// A task in a final state does not run again by itself. One that ended in error
// may be retried by a person.
func ExampleTaskState_Final() {
	for _, state := range []orchestration.TaskState{orchestration.TaskInProgress, orchestration.TaskInError, orchestration.TaskComplete} {
		fmt.Println(state, state.Final())
	}
	// Output:
	// in_progress false
	// error true
	// complete true
}

// The steps behind a step run once it is done: complete, or resolved by a person.
func ExampleStepState_Done() {
	for _, state := range []orchestration.StepState{orchestration.StepComplete, orchestration.StepResolvedManually, orchestration.StepInError} {
		fmt.Println(state, state.Done())
	}
	// Output:
	// complete true
	// resolved_manually true
	// error false
}
