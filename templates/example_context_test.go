package templates_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/templates"
)

// ValidateContext checks the context of a new task and fills in the schema's
// defaults. Numbers stay as they are written, whatever their size.
func ExampleTemplate_ValidateContext() {
	filled, err := order().ValidateContext([]byte(`{"order_id": 1606938044258990275541962092341162602522202993782792835301376}`))
	fmt.Println(string(filled), err)
	// Output: {"order_id":1606938044258990275541962092341162602522202993782792835301376,"priority":"standard"} <nil>
}

// The error of a bad context has every violation, with the path to the value.
func ExampleContextError() {
	_, err := order().ValidateContext([]byte(`{"order_id": 0, "priority": "fast"}`))
	var bad *templates.ContextError
	if errors.As(err, &bad) {
		for _, v := range bad.Violations {
			fmt.Println(v.Path, v.Message)
		}
	}
	// Output:
	// context.order_id must be at least 1, got 0
	// context.priority must be one of "standard", "express", got "fast"
}

// The schema of a task handler in Ruby is in no template. Its contexts are checked alike.
func ExampleCheckContext() {
	violations, err := templates.CheckContext([]byte(`{"required": ["order_id"]}`), []byte(`{"id": 7}`))
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range violations {
		fmt.Println(v)
	}
	_, err = templates.CheckContext([]byte(`{"type": "objekt"}`), []byte(`{}`))
	fmt.Println(err != nil)
	// Output:
	// context.order_id is required
	// true
}
