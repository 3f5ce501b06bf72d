package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Results are those of all steps that this one depends on, directly or not.
func ExampleStepExecution_Results() {
	total := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		results, err := x.Results(ctx)
		if err != nil {
			return nil, err
		}
		sum := 0
		for _, r := range results {
			var n int
			if err := json.Unmarshal(r.JSON, &n); err != nil {
				return nil, err
			}
			fmt.Println(r.Step, n)
			sum += n
		}
		return json.Marshal(sum)
	}
	fmt.Println(runInvoice(total))
	// Output:
	// goods 40
	// freight 2
	// 42
}

// Small results are in memory, and cost nothing. SmallResults says whether there are others.
func ExampleStepExecution_SmallResults() {
	total := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		results, all := x.SmallResults()
		fmt.Println(len(results), all)
		return json.Marshal(len(results))
	}
	fmt.Println(runInvoice(total))
	// Output:
	// 2 true
	// 2
}

// SmallResult is Result for code that must not wait.
func ExampleStepExecution_SmallResult() {
	total := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		goods, small := x.SmallResult("goods")
		fmt.Println(string(goods), small)
		return goods, nil
	}
	fmt.Println(runInvoice(total))
	// Output:
	// 40 true
	// 40
}

// The heads say how the steps of the task were when the attempt began.
func ExampleStepExecution_StepHeads() {
	total := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		var heads []struct{ Name, Status string }
		if err := json.Unmarshal(x.StepHeads(), &heads); err != nil {
			return nil, err
		}
		return json.Marshal(heads)
	}
	fmt.Println(runInvoice(total))
	// Output: [{"Name":"goods","Status":"complete"},{"Name":"freight","Status":"complete"},{"Name":"total","Status":"in_progress"}]
}

// HeadOf is the head of one step. In a task of thousands of steps it saves the others.
func ExampleStepExecution_HeadOf() {
	total := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		var head struct {
			Children []string
			Attempts int
		}
		if err := json.Unmarshal(x.HeadOf("goods"), &head); err != nil {
			return nil, err
		}
		fmt.Println(head.Children, head.Attempts)
		fmt.Println(x.HeadOf("discount") == nil)
		return nil, nil
	}
	runInvoice(total)
	// Output:
	// [total] 1
	// true
}

// runInvoice runs a task of three steps, the last of which is total. It returns the
// results of that one.
func runInvoice(total orchestration.StepHandlerFunc) string {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	results := func(text string) orchestration.StepHandler {
		return orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
			return json.RawMessage(text), nil
		})
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool: pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
			"Goods": results("40"), "Freight": results("2"), "Total": total,
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: invoice
step_templates:
  - {name: goods, handler_class: Goods}
  - {name: freight, handler_class: Freight}
  - {name: total, handler_class: Total, depends_on_steps: [goods, freight]}
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
	return string(detail.Steps[2].Results())
}
