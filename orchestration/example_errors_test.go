package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A plain error is tried again within the step's limit. A StepError says more:
// that trying again cannot help, or how long to wait. What it says is kept with
// the attempt.
func ExampleStepError() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	charge := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		var card struct{ Number string }
		if err := json.Unmarshal(x.Context, &card); err != nil {
			return nil, err
		}
		if card.Number == "busy" {
			wait := 90 * time.Second
			return nil, &orchestration.StepError{Class: "Bank::Busy", Message: "try later", RetryAfter: &wait}
		}
		return nil, &orchestration.StepError{
			Class:     "Bank::Declined",
			Message:   "the card was declined",
			ErrorCode: "CARD_EXPIRED",
			Context:   json.RawMessage(`{"expired": "2023-12"}`),
			Permanent: true,
		}
	}
	engine, err := orchestration.New(ctx, orchestration.Config{
		Pool:     pool,
		Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{"Charge": orchestration.StepHandlerFunc(charge)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template := mustParse("name: card\nnamespace_name: errors\nstep_templates: [{name: charge, handler_class: Charge, default_retry_limit: 3}]")
	for _, card := range []string{`{"number": "busy"}`, `{"number": "expired"}`} {
		task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(card)})
		if err != nil {
			log.Fatal(err)
		}
		outcome, err := engine.Handle(ctx, task.TaskID) // which does not wait for retries
		if err != nil {
			log.Fatal(err)
		}
		detail, err := engine.Task(ctx, task.TaskID)
		if err != nil {
			log.Fatal(err)
		}
		step := detail.Steps[0]
		failure := step.Last().Err
		fmt.Println(outcome.State, step.State, failure.Class, failure.Permanent)
	}
	// Output:
	// in_progress waiting_for_retry Bank::Busy false
	// error error Bank::Declined true
}

// A handler keeps the error that it comes from for the tests of the program.
func ExampleStepError_Unwrap() {
	errBank := errors.New("the bank's certificate has expired")
	var err error = &orchestration.StepError{Class: "Bank::Unreachable", Message: errBank.Error(), Err: errBank}
	fmt.Println(errors.Is(err, errBank))
	fmt.Println(err)
	// Output:
	// true
	// Bank::Unreachable: the bank's certificate has expired
}
