package orchestration_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Open is the short way in: a pool, the tables and an engine in one call, and handlers with
// types of their own.
func ExampleOpen() {
	ctx := context.Background()
	engine, err := orchestration.Open(ctx, databaseURL(), orchestration.Config{ // or os.Getenv("DATABASE_URL")
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
			"Price": orchestration.Handle(price),
		}},
		Migrate: true,
	})
	if err != nil {
		log.Fatal(err, orchestration.Hint(err))
	}
	defer engine.Close()
	template := mustParse(`
name: invoice
namespace_name: open
step_templates: [{name: price, handler_class: Price}]
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: []byte(`{"pieces": 3}`)})
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
	fmt.Println(outcome.State, string(detail.Steps[0].Results()))
	// Output: complete {"cents":1250}
}

type invoice struct{ Pieces int64 }

type amount struct {
	Cents int64 `json:"cents"`
}

func price(context.Context, invoice, *orchestration.StepExecution) (amount, error) {
	return amount{Cents: 1250}, nil
}

// Handle makes a function a handler. Its input is the task's context, its output the
// step's results.
func ExampleHandle() {
	handler := orchestration.Handle(func(_ context.Context, in invoice, _ *orchestration.StepExecution) (amount, error) {
		return amount{Cents: 100 * in.Pieces}, nil
	})
	for _, document := range []string{`{"pieces": 3}`, `{"pieces": "three"}`} {
		results, err := handler.HandleStep(context.Background(), &orchestration.StepExecution{Context: []byte(document)})
		fmt.Println(string(results), err)
	}
	// Output:
	// {"cents":300} <nil>
	//  Tasker::TypeMismatch: the task's context does not fit orchestration_test.invoice at pieces: cannot unmarshal string into Go value of type int64
}

// ResultOf reads what a step before has returned, as a type of its own.
func ExampleResultOf() {
	total := func(ctx context.Context, in invoice, x *orchestration.StepExecution) (amount, error) {
		each, err := orchestration.ResultOf[amount](ctx, x, "price")
		if err != nil {
			return amount{}, err
		}
		return amount{Cents: in.Pieces * each.Cents}, nil
	}
	detail := runTotal(orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
		"Price": orchestration.Handle(price),
		"Total": orchestration.Handle(total),
	}})
	fmt.Println(detail.State, string(detail.Steps[1].Results()))
	// Output: complete {"cents":3750}
}

// runTotal runs a task of two steps.
func runTotal(handlers orchestration.HandlerResolver) *orchestration.TaskDetail {
	ctx := context.Background()
	engine, err := orchestration.Open(ctx, databaseURL(), orchestration.Config{Handlers: handlers, Migrate: true})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: total
namespace_name: open
step_templates:
  - {name: price, handler_class: Price}
  - {name: total, handler_class: Total, depends_on_step: price}
`)
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: []byte(`{"pieces": 3}`)})
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
	return detail
}

// Many errors say what to do about them.
func ExampleHint() {
	_, err := orchestration.Open(context.Background(), "", orchestration.Config{})
	fmt.Println(err)
	fmt.Println(orchestration.Hint(err))
	// Output:
	// orchestration: the address of the database is empty
	// Set the variable that it comes from, such as DATABASE_URL.
}

// The pool of an engine serves a program's own statements, too.
func ExampleEngine_Pool() {
	ctx := context.Background()
	engine, err := orchestration.Open(ctx, databaseURL(), orchestration.Config{Handlers: orchestration.Handlers{}, Migrate: true})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	var sum int
	if err := engine.Pool().QueryRow(ctx, "select 2 + 2").Scan(&sum); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sum)
	// Output: 4
}
