package orchestration

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
)

// After any changes the agenda is the one that a look at all steps would make, and a
// snapshot shows each step as it is. Snapshots from before show what they showed.
func TestAgendaAndSnapshotsFollowEveryChange(t *testing.T) {
	t.Parallel()
	for seed := range uint64(effort.Of(60, 200)) {
		random := rand.New(rand.NewPCG(seed, 1))
		task := &taskRun{}
		for i := range 1 + random.IntN(3*blockSize) {
			s := &stepRun{index: i, id: int64(i), stepView: stepView{state: StepPending, limit: 3, retries: random.IntN(4) > 0}}
			for range min(i, random.IntN(4)) {
				p := random.IntN(i)
				s.parents = append(s.parents, p)
				task.steps[p].children = append(task.steps[p].children, i)
			}
			task.steps = append(task.steps, s)
		}
		task.agenda = makeAgenda(task.steps)
		states := func(n *snapshot) (all []StepState) {
			for i := range task.steps {
				all = append(all, n.step(i).state)
			}
			return all
		}
		for range 50 {
			before := task.snapshot()
			seen := states(before)
			for range random.IntN(5) {
				s := task.steps[random.IntN(len(task.steps))]
				s.state = allStepStates[random.IntN(len(allStepStates))]
				s.attempts = random.IntN(5)
				s.losses = random.IntN(s.attempts + 1)
				task.noteChange(s)
			}
			views := task.views()
			var open []int
			unfinished := 0
			for i, s := range task.steps {
				if startable(views, i) {
					open = append(open, i)
				}
				if !s.state.Done() {
					unfinished++
				}
				shown := task.snapshot().step(i)
				require.Equal(t, []any{s.state, s.attempts, s.id}, []any{shown.state, shown.attempts, shown.id})
			}
			require.Equal(t, unfinished, task.agenda.unfinished)
			require.ElementsMatch(t, open, task.agenda.open)
			require.IsIncreasing(t, append([]int{-1}, task.agenda.open...))
			require.Equal(t, seen, states(before))
		}
	}
}
