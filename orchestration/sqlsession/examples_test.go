package sqlsession_test

import (
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{
		"Error.RescuedHint": "ExampleSession_NotePlace asks for it",
		"Error.Error":       "fmt calls it, as ExampleSession_Finish shows",
		"Session.Holds":     "ExamplePlain and ExampleSession_Begin print it",
		"Session.InStep":    "it is what the session was made with: ForStep or Plain",
	})
}
