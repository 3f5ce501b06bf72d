package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// exportDinner exports the task of runDinner, and returns the document.
func exportDinner(ctx context.Context) []byte {
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	export, err := engine.Export(ctx, runDinner(ctx, pool))
	if err != nil {
		log.Fatal(err)
	}
	document, err := export.Encode()
	if err != nil {
		log.Fatal(err)
	}
	return document
}

// Export reads a task with its template, its context and what each step did.
func ExampleEngine_Export() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	export, err := engine.Export(ctx, runDinner(ctx, pool))
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range export.Task.Steps {
		fmt.Println(step.Name, step.State, string(step.Results()))
	}
	// Output:
	// peel complete "peel is ready"
	// roast complete "roast is ready"
	// serve error
}

// The document is JSON, for a file or a ticket.
func ExampleExport_Encode() {
	var task struct {
		Format, Status string
		Steps          map[string]struct {
			Attempts []struct{ Outcome string }
		}
	}
	if err := json.Unmarshal(exportDinner(context.Background()), &task); err != nil {
		log.Fatal(err)
	}
	fmt.Println(task.Format, task.Status, task.Steps["roast"].Attempts)
	// Output: tasker-rb-task/1 error [{error} {complete}]
}

// Another machine reads the document. It needs no database for it.
func ExampleDecodeExport() {
	export, err := orchestration.DecodeExport(exportDinner(context.Background()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(export.Task.Template.ID(), export.Task.Steps[2].Last().Err)
	_, err = orchestration.DecodeExport([]byte(`{"name": "dinner"}`))
	fmt.Println(errors.Is(err, orchestration.ErrNoExport))
	// Output:
	// default/dinner 0.1.0 Table::Missing: there is no table
	// true
}

// Redact takes secrets out before the document leaves the house.
func ExampleExport_Redact() {
	export, err := orchestration.DecodeExport(exportDinner(context.Background()))
	if err != nil {
		log.Fatal(err)
	}
	_, err = export.Redact("steps.pel.results")
	fmt.Println(err)
	fmt.Println(errors.FlattenHints(err))
	export, err = export.Redact("steps.*.results", "tags[*]")
	fmt.Println(err)
	_, err = export.Redact("steps.serve.results")
	fmt.Println(errors.Is(err, orchestration.ErrNothingRedacted))
	fmt.Println(export.Task.Tags, string(export.Task.Steps[0].Results()))
	// Output:
	// steps.pel.results leads to nothing: steps has no "pel"
	// Did you mean "peel"?
	// <nil>
	// true
	// [[redacted]] "[redacted]"
}
