package orchestration_test

import (
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{
		"StepError.Error": "fmt calls it, as ExampleStepError_Unwrap shows",
	})
}
