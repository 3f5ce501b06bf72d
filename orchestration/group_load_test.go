package orchestration_test

import (
	"sync"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// Tasks that are requested at the same time are loaded together. Each caller gets a task
// of its own.
func TestTasksAreLoadedTogether(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	made, err := b.SubmitMany(t.Context(), many(40, orchestration.Submission{Template: template(t, diamond, "")}))
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 120 {
		all.Go(func() {
			if i%3 == 2 {
				_, err := b.Handle(t.Context(), int64(1e9+i))
				if !errors.Is(err, orchestration.ErrTaskNotFound) {
					t.Errorf("a task that is not there: %v", err)
				}
				return
			}
			_, err := b.Handle(t.Context(), made[i%40].TaskID) // some tasks twice
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, m := range made {
		out, err := b.Run(t.Context(), m.TaskID)
		require.NoError(t, err)
		require.Equal(t, orchestration.TaskComplete, out.State)
	}
}
