package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Try repeats a step of a recorded task, here after its handler was mended. Nothing of it
// is left in the database.
func ExampleEngine_Try() {
	ctx := context.Background()
	export, err := orchestration.DecodeExport(exportDinner(ctx))
	if err != nil {
		log.Fatal(err)
	}
	pool := openDatabase(ctx)
	defer pool.Close()
	cook := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		roast, err := x.Result(ctx, "roast")
		fmt.Println(x.StepName, "is given", string(roast))
		return json.RawMessage(`"on the floor"`), err
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Cook": orchestration.StepHandlerFunc(cook)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	r, err := engine.Try(ctx, orchestration.TryOptions{Export: export, Step: "serve"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(r.Results), r.Err, r.Differences)
	// Output:
	// serve is given "roast is ready"
	// "on the floor" <nil> [it is complete, and failed when it was recorded: Table::Missing: there is no table]
}

// Check needs no database.
func ExampleTryOptions_Check() {
	export, err := orchestration.DecodeExport(exportDinner(context.Background()))
	if err != nil {
		log.Fatal(err)
	}
	err = orchestration.TryOptions{Export: export, Step: "srve"}.Check()
	fmt.Println(err)
	fmt.Println(errors.FlattenHints(err))
	// Output:
	// the template default/dinner 0.1.0 has no step "srve"
	// Did you mean "serve"?
}
