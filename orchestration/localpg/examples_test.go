package localpg_test

import (
	"os"
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("examples_test.go"); err != nil {
		t.Skip("TestAsAnotherUser runs this in a folder without the source")
	}
	exampletest.Check(t, map[string]string{
		"Server.LogFile": "ExampleStart reads it",
		"Server.URL":     "every example connects with it",
	})
}
