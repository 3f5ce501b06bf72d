package orchestration

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every state that is not final leads to another one. No transition leaves a state that
// is always final.
func TestTransitionTables(t *testing.T) {
	t.Parallel()
	for _, s := range allStepStates {
		_, known := StepTransitions[s]
		require.True(t, known, s)
	}
	require.Len(t, StepTransitions, len(allStepStates))
	require.Len(t, TaskTransitions, 6)
	for from, targets := range StepTransitions {
		for _, to := range targets {
			require.Contains(t, StepTransitions, to)
			require.NotEqual(t, from, to)
		}
		require.Equal(t, from.Done() || from == StepCancelled, len(targets) == 0, from)
	}
	for from, targets := range TaskTransitions {
		for _, to := range targets {
			require.Contains(t, TaskTransitions, to)
			require.NotEqual(t, from, to)
		}
		require.Equal(t, from == TaskComplete || from == TaskCancelled || from == TaskResolvedManually, len(targets) == 0, from)
	}
}
