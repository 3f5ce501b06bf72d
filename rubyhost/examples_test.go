package rubyhost_test

import (
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{
		"Error.Error":            "fmt calls it, as ExampleError_Format shows",
		"InterruptedError.Error": "fmt calls it; ExampleInterruptedError shows what is in it",
	})
}
