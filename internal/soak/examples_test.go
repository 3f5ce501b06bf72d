package soak_test

import (
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{
		"package":       "ExampleExecute is the package in use",
		"Failure.Error": "it is the message",
		"Gone.Error":    "it is a sentence",
		"Remote.Close":  "ExampleConnect shows it",
		"Remote.Do":     "ExampleConnect shows it",
	})
}
