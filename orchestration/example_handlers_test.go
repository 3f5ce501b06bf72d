package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// receipts is a handler that needs something from its program: a StepHandler is
// any type with HandleStep. Many goroutines call it at once.
type receipts struct{ shop string }

func (r receipts) HandleStep(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	var order struct{ Cents int64 }
	if err := json.Unmarshal(x.Context, &order); err != nil {
		return nil, err
	}
	return json.Marshal(fmt.Sprintf("%s: %d.%02d", r.shop, order.Cents/100, order.Cents%100))
}

// A handler that is a type of its own, and its test without an engine.
func ExampleStepHandler() {
	var handler orchestration.StepHandler = receipts{shop: "Lovelace Books"}
	results, err := handler.HandleStep(context.Background(), &orchestration.StepExecution{Context: json.RawMessage(`{"cents": 1999}`)})
	fmt.Println(string(results), err)
	// Output: "Lovelace Books: 19.99" <nil>
}

// A function is a handler too, and is tested in the same way.
func ExampleStepHandlerFunc_HandleStep() {
	greet := orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		return json.Marshal("hello from " + x.StepName)
	})
	results, err := greet.HandleStep(context.Background(), &orchestration.StepExecution{StepName: "greet"})
	fmt.Println(string(results), err)
	// Output: "hello from greet" <nil>
}

// A step reads the results of the steps that it depends on, directly or not, and
// its own configuration. Numbers are as exact as they were written.
func ExampleStepExecution_Result() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	measure := func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return json.RawMessage(`{"grams": 1250}`), nil
	}
	price := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		measured, err := x.Result(ctx, "measure")
		if err != nil {
			return nil, err
		}
		var parcel struct{ Grams int64 }
		if err := json.Unmarshal(measured, &parcel); err != nil {
			return nil, err
		}
		var config struct {
			CentsPerKilo int64 `json:"cents_per_kilo"`
		}
		if err := json.Unmarshal(x.Config, &config); err != nil {
			return nil, err
		}
		return json.Marshal(parcel.Grams * config.CentsPerKilo / 1000)
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool: pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
			"Measure": orchestration.StepHandlerFunc(measure),
			"Price":   orchestration.StepHandlerFunc(price),
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: parcel
step_templates:
  - {name: measure, handler_class: Measure}
  - {name: price, handler_class: Price, depends_on_step: measure, handler_config: {cents_per_kilo: 400}}
`)
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
	fmt.Println(string(detail.Steps[1].Results()))
	// Output: 500
}

// echoes is a HandlerResolver of a program's own: it has a handler for every
// class of a namespace.
type echoes struct{}

func (echoes) ResolveHandler(_ context.Context, class string) (orchestration.StepHandler, error) {
	if !strings.HasPrefix(class, "Echo::") {
		return nil, fmt.Errorf("%s is not an echo", class)
	}
	return orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return json.Marshal(class)
	}), nil
}

// Handlers looks in ByClass, then asks Next. To have steps in Go and in Ruby, give
// it rubysteps.New(host) as Next.
func ExampleHandlers_ResolveHandler() {
	ctx := context.Background()
	handlers := orchestration.Handlers{
		ByClass: map[string]orchestration.StepHandler{"Receipts": receipts{shop: "Lovelace Books"}},
		Next:    echoes{},
	}
	for _, class := range []string{"Receipts", "Echo::Hello", "Silence"} {
		handler, err := handlers.ResolveHandler(ctx, class)
		fmt.Println(class, handler != nil, err)
	}
	// Output:
	// Receipts true <nil>
	// Echo::Hello true <nil>
	// Silence false Silence is not an echo
}

// Next may know the task handlers of templates, and refuse a context for them.
func ExampleHandlers_CheckContext() {
	template, err := templates.Parse([]byte("name: order\ntask_handler_class: Shop::Order\nstep_templates:\n  - {name: pay, handler_class: Pay}\n"), "order.yaml")
	if err != nil {
		log.Fatal(err)
	}
	handlers := orchestration.Handlers{} // all in Go: nobody objects
	fmt.Println(handlers.CheckContext(context.Background(), template, []byte(`{}`)))
	// Output: <nil>
}
