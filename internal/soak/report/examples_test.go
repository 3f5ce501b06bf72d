package report

import (
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{
		"package": "ExampleText and ExampleWrite are the package in use",
	})
}
