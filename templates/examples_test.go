package templates_test

import (
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{
		"ContextError.Error": "fmt calls it; ExampleContextError shows what is in it",
		"Position.String":    "fmt calls it, as ExampleProblem_Position shows",
		"Problem.String":     "fmt calls it, as ExampleProblems shows",
		"Problems.Error":     "fmt calls it; ExampleProblems shows what is in it",
		"Registry.Len":       "ExampleNewRegistry prints it",
		"Violation.String":   "it is the path and the message, as ExampleContextError prints them",
	})
}
