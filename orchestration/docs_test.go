package orchestration_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// docs/engine.md shows the tables of the code.
func TestGuideTablesOfStates(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/engine.md")
	require.NoError(t, err)
	guide := string(text)
	require.Contains(t, guide, matrix(orchestration.StepTransitions, []orchestration.StepState{
		orchestration.StepPending, orchestration.StepInProgress, orchestration.StepWaitingForRetry, orchestration.StepComplete,
		orchestration.StepInError, orchestration.StepCancelled, orchestration.StepResolvedManually,
	}), "the transitions of steps")
	require.Contains(t, guide, matrix(orchestration.TaskTransitions, []orchestration.TaskState{
		orchestration.TaskPending, orchestration.TaskInProgress, orchestration.TaskComplete,
		orchestration.TaskInError, orchestration.TaskCancelled, orchestration.TaskResolvedManually,
	}), "the transitions of tasks")
	for _, kind := range []orchestration.EventKind{
		orchestration.EventTaskStarted, orchestration.EventStepStarted, orchestration.EventStepCompleted, orchestration.EventStepRetrying,
		orchestration.EventStepFailed, orchestration.EventStepReleased, orchestration.EventStepCancelled, orchestration.EventTaskWaiting,
		orchestration.EventTaskEnded,
	} {
		require.Contains(t, guide, "`"+string(kind)+"`")
	}
}

// matrix formats a table of transitions in Markdown: a row for each state, with the
// states that it may change to.
func matrix[S ~string](table map[S][]S, order []S) string {
	var b strings.Builder
	b.WriteString("| from | to |\n|---|---|\n")
	for _, from := range order {
		targets := make([]string, len(table[from]))
		for i, to := range table[from] {
			targets[i] = "`" + string(to) + "`"
		}
		if len(targets) == 0 {
			targets = []string{"(the end)"}
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", from, strings.Join(targets, ", "))
	}
	return b.String()
}
