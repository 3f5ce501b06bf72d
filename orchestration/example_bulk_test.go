package orchestration_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// twoFailedTasks returns an engine on a database of two tasks that ended in error.
func twoFailedTasks(ctx context.Context) (engine *checkout, stop func()) {
	pool := openEmptyDatabase(ctx)
	migrate(ctx, pool)
	engine = openCheckout(ctx, pool)
	for range 2 {
		if _, err := engine.Run(ctx, engine.submit(ctx)); err != nil {
			log.Fatal(err)
		}
	}
	return engine, func() {
		_ = engine.Close()
		pool.Close()
	}
}

// CancelTasks cancels all tasks that a filter selects, and that have not ended.
func ExampleEngine_CancelTasks() {
	ctx := context.Background()
	engine, stop := twoFailedTasks(ctx)
	defer stop()
	engine.submit(ctx)
	done, err := engine.CancelTasks(ctx, orchestration.Filter{Name: "checkout"}, orchestration.BulkOptions{By: orchestration.By{Actor: "ada"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("cancelled", done.Changed)
	// Output: cancelled 3
}

// ResolveTasks declares failed tasks resolved.
func ExampleEngine_ResolveTasks() {
	ctx := context.Background()
	engine, stop := twoFailedTasks(ctx)
	defer stop()
	by := orchestration.By{Actor: "ada", Reason: "paid by phone"}
	done, err := engine.ResolveTasks(ctx, orchestration.Filter{ErrorClass: "Bank::Closed"}, orchestration.BulkOptions{By: by})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("resolved", done.Changed)
	// Output: resolved 2
}

// CountTasks counts what a filter selects, here tasks that run for more than an hour.
func ExampleEngine_CountTasks() {
	ctx := context.Background()
	engine, stop := twoFailedTasks(ctx)
	defer stop()
	for _, filter := range []orchestration.Filter{
		{States: []orchestration.TaskState{orchestration.TaskInError}},
		{BegunBefore: time.Now().Add(-time.Hour)},
	} {
		n, err := engine.CountTasks(ctx, filter)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
	}
	// Output:
	// 2
	// 0
}

// CountTasks needs no engine.
func ExampleCountTasks() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	n, err := orchestration.CountTasks(ctx, pool, orchestration.Filter{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n)
	// Output: 0
}
