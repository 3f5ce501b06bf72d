package orchestration_test

import (
	"context"
	"log"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// RetryHere retries what failed, in this program and not in a worker.
func ExampleEngine_RetryHere() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	task := engine.submit(ctx)
	engine.show(ctx, task)

	engine.bankOpen.Store(true)
	if err := engine.RetryHere(ctx, task, orchestration.By{Actor: "ada"}); err != nil {
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

// Hold keeps workers away from a task that waits, and Run runs it here.
func ExampleEngine_Hold() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	engine.bankOpen.Store(true)
	task := engine.submit(ctx)

	if err := engine.Hold(ctx, task); err != nil {
		log.Fatal(err)
	}
	engine.show(ctx, task)
	// Output:
	// complete
	//   pay complete
	//   ship complete
}
