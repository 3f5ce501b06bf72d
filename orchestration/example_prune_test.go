package orchestration_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Prune deletes tasks that ended long ago. Their identity keys stay known.
func ExampleEngine_Prune() {
	ctx := context.Background()
	pool := openEmptyDatabase(ctx)
	defer pool.Close()
	migrate(ctx, pool)
	engine := openCheckout(ctx, pool)
	defer engine.Close()
	engine.bankOpen.Store(true)
	template := mustParse("name: pay\nstep_templates: [{name: pay, handler_class: Pay}]")
	order := orchestration.Submission{Template: template, IdentityKey: "order-42"}
	first, err := engine.Submit(ctx, order)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := engine.Run(ctx, first.TaskID); err != nil {
		log.Fatal(err)
	}
	for _, age := range []time.Duration{30 * 24 * time.Hour, time.Microsecond} {
		pruned, err := engine.Prune(ctx, orchestration.PruneOptions{OlderThan: age})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("pruned", pruned.Tasks)
	}
	again, err := engine.Submit(ctx, order)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.TaskID == first.TaskID, again.Existed)
	// Output:
	// pruned 0
	// pruned 1
	// true true
}
