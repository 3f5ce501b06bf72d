package orchestrationtest_test

import (
	"errors"
	"fmt"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/orchestrationtest"
)

// A task that is not complete fails the test, which then shows what became of its steps.
func ExampleRequireComplete() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	env.Fail("charge", 4, errors.New("the bank is closed"))
	task := env.Run(t, shop(t), order{Cents: 5})
	failed := t.fails(func() { orchestrationtest.RequireComplete(t, task) })
	fmt.Println(failed)
	// Output:
	// task 1 (shop) is in state error:
	//   charge: error after 4 attempts, *errors.errorString: the bank is closed
	//   thank: pending after 0 attempts
}

// RequireStep returns the step with all of its attempts.
func ExampleRequireStep() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	env.Fail("charge", 1, errors.New("the bank is closed"))
	task := env.Run(t, shop(t), order{Cents: 5})
	step := orchestrationtest.RequireStep(t, task, "charge", orchestration.StepComplete)
	fmt.Println(step.History[0].Err.Message)
	// Output: the bank is closed
}

// ResultOf decodes what a step has returned.
func ExampleResultOf() {
	t := newRecorder()
	defer t.end()
	env := orchestrationtest.New(t, config(), tables)
	task := env.Run(t, shop(t), order{Cents: 5})
	fmt.Println(orchestrationtest.ResultOf[int64](t, task, "charge") + 1)
	// Output: 6
}
