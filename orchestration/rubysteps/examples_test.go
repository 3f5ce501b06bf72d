package rubysteps_test

import (
	"testing"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	const shown = "ExampleEvents shows it"
	exampletest.Check(t, map[string]string{"Events.Flush": shown, "Events.OnEvent": shown, "Events.Serve": shown})
}
