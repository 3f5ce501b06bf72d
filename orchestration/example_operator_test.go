package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// checkout is a shop whose payments fail while the bank is closed.
type checkout struct {
	*orchestration.Engine
	bankOpen atomic.Bool
}

func openCheckout(ctx context.Context, pool *pgxpool.Pool) *checkout {
	c := &checkout{}
	pay := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		if !c.bankOpen.Load() {
			return nil, &orchestration.StepError{Class: "Bank::Closed", Message: "come back tomorrow", Permanent: true}
		}
		return json.Marshal("paid")
	}
	ship := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		paid, err := x.Result(ctx, "pay")
		if err != nil {
			return nil, err
		}
		return json.Marshal("sent, as it was " + string(paid))
	}
	var err error
	c.Engine, err = orchestration.New(ctx, orchestration.Config{
		Pool: pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
			"Pay":  orchestration.StepHandlerFunc(pay),
			"Ship": orchestration.StepHandlerFunc(ship),
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// submit makes a task of two steps, pay and ship.
func (c *checkout) submit(ctx context.Context) int64 {
	template := mustParse(`
name: checkout
step_templates:
  - {name: pay, handler_class: Pay}
  - {name: ship, handler_class: Ship, depends_on_step: pay}
`)
	task, err := c.Submit(ctx, orchestration.Submission{Template: template})
	if err != nil {
		log.Fatal(err)
	}
	return task.TaskID
}

// show runs the task, unless it has ended, and prints its state and its steps.
func (c *checkout) show(ctx context.Context, id int64) {
	if _, err := c.Run(ctx, id); err != nil {
		log.Fatal(err)
	}
	detail, err := c.Task(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.State)
	for _, step := range detail.Steps {
		fmt.Println(" ", step.Name, step.State)
	}
}

// RetryTask tries the failed steps of a task again, with all their attempts. The
// audit keeps who did it and why.
func ExampleEngine_RetryTask() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	task := engine.submit(ctx)
	engine.show(ctx, task)

	engine.bankOpen.Store(true)
	if err := engine.RetryTask(ctx, task, orchestration.By{Actor: "ada", Reason: "the bank is open again"}); err != nil {
		log.Fatal(err)
	}
	engine.show(ctx, task)
	detail, err := engine.Task(ctx, task)
	if err != nil {
		log.Fatal(err)
	}
	for _, change := range detail.Transitions {
		if change.Actor == "ada" {
			fmt.Println(change.Reason)
		}
	}
	// Output:
	// error
	//   pay error
	//   ship pending
	// complete
	//   pay complete
	//   ship complete
	// retried by hand: the bank is open again
}

// RetryTasks retries all that a filter selects. A dry run only says which.
func ExampleEngine_RetryTasks() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	for range 3 {
		if _, err := engine.Run(ctx, engine.submit(ctx)); err != nil {
			log.Fatal(err)
		}
	}
	filter := orchestration.Filter{ErrorClass: "Bank::Closed", CreatedAfter: time.Now().Add(-24 * time.Hour)}
	by := orchestration.By{Actor: "ada", Reason: "the bank is open again"}
	would, err := engine.RetryTasks(ctx, filter, orchestration.BulkOptions{By: by, DryRun: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("would retry", would.Selected)
	done, err := engine.RetryTasks(ctx, filter, orchestration.BulkOptions{By: by, Each: func(task orchestration.Changed) {
		fmt.Println(task.TaskID, task.Err)
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("retried", done.Changed)
	// Output:
	// would retry 3
	// 3 <nil>
	// 2 <nil>
	// 1 <nil>
	// retried 3
}

// RetryStep tries one failed step again, or one that waits for its next attempt.
func ExampleEngine_RetryStep() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	task := engine.submit(ctx)
	engine.show(ctx, task)

	engine.bankOpen.Store(true)
	if err := engine.RetryStep(ctx, task, "pay", orchestration.By{Actor: "ada"}); err != nil {
		log.Fatal(err)
	}
	engine.show(ctx, task)
	// Output:
	// error
	//   pay error
	//   ship pending
	// complete
	//   pay complete
	//   ship complete
}

// ResolveStep gives a step results by hand. The steps behind it run as if the
// handler had returned them.
func ExampleEngine_ResolveStep() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	task := engine.submit(ctx)
	engine.show(ctx, task)

	by := orchestration.By{Actor: "ada", Reason: "the customer paid in cash"}
	if err := engine.ResolveStep(ctx, task, "pay", json.RawMessage(`"cash"`), by); err != nil {
		log.Fatal(err)
	}
	engine.show(ctx, task)
	// Output:
	// error
	//   pay error
	//   ship pending
	// complete
	//   pay resolved_manually
	//   ship complete
}

// ResolveTask closes a task that ended in error, because its work was done in
// another way. Its steps do not change.
func ExampleEngine_ResolveTask() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	task := engine.submit(ctx)
	engine.show(ctx, task)

	by := orchestration.By{Actor: "ada", Reason: "the customer has a voucher instead"}
	if err := engine.ResolveTask(ctx, task, by); err != nil {
		log.Fatal(err)
	}
	engine.show(ctx, task)
	// Output:
	// error
	//   pay error
	//   ship pending
	// resolved_manually
	//   pay error
	//   ship pending
}

// CancelStep ends a step and what depends on it. Other branches of the task go
// on.
func ExampleEngine_CancelStep() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	engine.bankOpen.Store(true)
	task := engine.submit(ctx)

	by := orchestration.By{Actor: "ada", Reason: "the customer fetches it"}
	if err := engine.CancelStep(ctx, task, "ship", by); err != nil {
		log.Fatal(err)
	}
	engine.show(ctx, task)
	// Output:
	// cancelled
	//   pay complete
	//   ship cancelled
}

// CancelTask ends a task, wherever it runs. What makes no sense is refused: the
// error's text says why, its hint what can be done.
func ExampleEngine_CancelTask() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	task := engine.submit(ctx)

	by := orchestration.By{Actor: "ada", Reason: "the order was a mistake"}
	if err := engine.CancelTask(ctx, task, by); err != nil {
		log.Fatal(err)
	}
	engine.show(ctx, task)
	err := engine.CancelTask(ctx, task, by)
	fmt.Println(errors.Is(err, orchestration.ErrRefused))
	// Output:
	// cancelled
	//   pay cancelled
	//   ship cancelled
	// true
}
