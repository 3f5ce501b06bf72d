package rubysteps_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
)

// A service of the program's own learns which step asks.
func ExampleExecution() {
	ctx := context.Background()
	host := bootedHost()
	err := host.Serve(ctx, "who", func(ctx context.Context, _ []byte) ([]byte, error) {
		if x := rubysteps.Execution(ctx); x != nil {
			return fmt.Appendf(nil, "attempt %d of %s", x.Attempt, x.StepName), nil
		}
		return []byte("nobody"), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := host.Eval(ctx, `Tasker::Host.ask("who", "")`, "ask.rb") // no step asks
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(answer))
	// Output: "nobody"
}
