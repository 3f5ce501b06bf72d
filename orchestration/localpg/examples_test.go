package localpg_test

import (
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{
		"Server.Trouble": "TestTheDiskFillsDuringARun of the command has it",
		"HasData":        "ExampleLastFailure asks it",
		"Server.LogFile": "ExampleStart reads it",
		"Server.URL":     "every example connects with it",
	})
}
