package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// A submission checks the context against the template's schema and fills in the
// schema's defaults. Nothing is written for a context that the schema refuses.
func ExampleEngine_Submit() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse(`
name: order
namespace_name: submit
schema:
  type: object
  required: [order_id]
  properties:
    order_id: {type: integer}
    priority: {enum: [standard, express], default: standard}
step_templates: [{name: ship, handler_class: Ship}]
`)
	task, err := engine.Submit(ctx, orchestration.Submission{
		Template:     template,
		Context:      json.RawMessage(`{"order_id": 42}`),
		Initiator:    "checkout", // these four are for people who look at the task
		SourceSystem: "shop",
		Reason:       "order 42 was paid",
		Tags:         []string{"paid"},
		Priority:     5, // of the tasks that are due, the higher one goes first
	})
	if err != nil {
		log.Fatal(err)
	}
	detail, err := engine.Task(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(detail.State, string(detail.Context))

	_, err = engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(`{"order_id": "42"}`)})
	var bad *templates.ContextError
	if errors.As(err, &bad) {
		fmt.Println(bad.Violations[0].Path)
	}
	// Output:
	// pending {"order_id":42,"priority":"standard"}
	// context.order_id
}

// A task that must exist once has a key. A second submission with that key
// writes nothing and answers with the first one's task.
func ExampleEngine_Submit_identityKey() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	submission := orchestration.Submission{
		Template:    mustParse("name: invoice\nnamespace_name: submit\nstep_templates: [{name: send, handler_class: Send}]"),
		IdentityKey: "invoice/2024-0042",
	}
	first, err := engine.Submit(ctx, submission)
	if err != nil {
		log.Fatal(err)
	}
	second, err := engine.Submit(ctx, submission)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.Existed, second.Existed, first.TaskID == second.TaskID)
	// Output: false true true
}

// Without a key of its own, a task can be known by what it is about: its
// template and its context, whatever the order of the context's keys.
func ExampleEngine_Submit_identityByContent() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse("name: report\nnamespace_name: submit\nstep_templates: [{name: build, handler_class: Build}]")
	for _, document := range []string{
		`{"day": "2024-05-01", "shop": 1}`,
		`{"shop": 1, "day": "2024-05-01"}`,
		`{"shop": 2, "day": "2024-05-01"}`,
	} {
		task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(document), IdentityByContent: true})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(task.Existed)
	}
	// Output:
	// false
	// true
	// false
}

// A task for later: no worker takes it before its time.
func ExampleEngine_Submit_later() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	task, err := engine.Submit(ctx, orchestration.Submission{
		Template: mustParse("name: reminder\nnamespace_name: submit\nstep_templates: [{name: send, handler_class: Send}]"),
		RunAt:    time.Now().Add(24 * time.Hour),
	})
	if err != nil {
		log.Fatal(err)
	}
	outcome, err := engine.Handle(ctx, task.TaskID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome.State, time.Until(outcome.Next).Round(time.Hour))
	// Output: pending 24h0m0s
}

// A task goes on with the template that it began with. So a template that has
// changed needs a new version; the error's text lists what has changed.
func ExampleEngine_Submit_changedTemplate() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	for _, text := range []string{
		"name: changing\nversion: 1.0.0\nstep_templates: [{name: one, handler_class: One}]",
		"name: changing\nversion: 1.0.0\nstep_templates: [{name: one, handler_class: Two}]",
		"name: changing\nversion: 1.1.0\nstep_templates: [{name: one, handler_class: Two}]",
	} {
		_, err := engine.Submit(ctx, orchestration.Submission{Template: mustParse(text)})
		fmt.Println(err == nil, errors.Is(err, orchestration.ErrTemplateChanged))
	}
	// Output:
	// true false
	// false true
	// true false
}

// A task that is submitted in the transaction that makes it necessary: the order
// and its task are there together, or neither is. Workers are told when the
// transaction commits.
func ExampleEngine_SubmitTx() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	if _, err := pool.Exec(ctx, "drop table if exists orders; create table orders (id int primary key, task_id bigint)"); err != nil {
		log.Fatal(err)
	}
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse("name: fulfil\nnamespace_name: submit\nstep_templates: [{name: ship, handler_class: Ship}]")

	for range 2 { // the second order breaks the table's key, and has no task either
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			task, err := engine.SubmitTx(ctx, tx, orchestration.Submission{Template: template, Context: json.RawMessage(`{"order_id": 42}`)})
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, "insert into orders values (42, $1)", task.TaskID)
			return err
		})
		fmt.Println(err == nil)
	}
	var state string
	err = pool.QueryRow(ctx, "select state from orders join tasker.tasks using (task_id) where id = 42").Scan(&state)
	fmt.Println(state, err)
	// Output:
	// true
	// false
	// pending <nil>
}

// Many tasks at once: ten thousand need a few round trips. If one is refused,
// nothing is written, and the error names its place.
func ExampleEngine_SubmitMany() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse("name: letter\nnamespace_name: submit\nstep_templates: [{name: send, handler_class: Send}]")
	var letters []orchestration.Submission
	for customer := range 1000 {
		letters = append(letters, orchestration.Submission{
			Template: template,
			Context:  json.RawMessage(fmt.Sprintf(`{"customer": %d}`, customer)),
			Tags:     []string{"spring"},
		})
	}
	tasks, err := engine.SubmitMany(ctx, letters)
	if err != nil {
		log.Fatal(err)
	}
	last, err := engine.Task(ctx, tasks[999].TaskID) // the answers are in the order of the submissions
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(tasks), string(last.Context))
	// Output: 1000 {"customer":999}
}

// Many tasks in a transaction of the caller's.
func ExampleEngine_SubmitManyTx() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse("name: parcel\nnamespace_name: submit\nstep_templates: [{name: ship, handler_class: Ship}]")
	var tasks []orchestration.Submitted
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
		// The program's own statements come here too.
		tasks, err = engine.SubmitManyTx(ctx, tx, []orchestration.Submission{
			{Template: template, Context: json.RawMessage(`{"order_id": 1}`)},
			{Template: template, Context: json.RawMessage(`{"order_id": 2}`)},
		})
		return err
	})
	fmt.Println(len(tasks), err)
	// Output: 2 <nil>
}

// A submission in a transaction that is prepared, or one of very many, leaves the
// wake-up of the workers for after the commit.
func ExampleEngine_Wake() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: orchestration.Handlers{}})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse("name: letter\nnamespace_name: submit\nstep_templates: [{name: send, handler_class: Send}]")
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
		_, err = engine.SubmitTx(ctx, tx, orchestration.Submission{Template: template, NoWake: true})
		return err
	})
	if err == nil {
		err = engine.Wake(ctx)
	}
	fmt.Println(err)
	// Output: <nil>
}
