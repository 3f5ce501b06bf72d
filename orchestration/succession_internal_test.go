package orchestration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// neverResolves is a resolver whose handlers never come, so that an attempt does nothing.
type neverResolves struct{}

func (neverResolves) ResolveHandler(context.Context, string) (StepHandler, error) {
	select {}
}

// A claimed step counts as running before it starts and after. If it did not for a moment,
// a success that comes in this moment would claim one step too many.
func TestAClaimedStepKeepsItsPlaceWhenItStarts(t *testing.T) {
	t.Parallel()
	const steps, claimant = 20, 1
	at := time.Now()
	task := &taskRun{state: TaskInProgress, template: &templates.Template{Concurrent: true}}
	l := &taskLoop{task: task, engine: &Engine{
		watchers: newWatchers(),
		cfg:      Config{Handlers: neverResolves{}, OnEvent: func(Event) {}, Clock: &databaseClock{}},
	}}
	for i := range steps {
		s := &stepRun{
			index: i, id: int64(i), claimedBy: claimant, lastAttempted: at, stepView: stepView{state: StepInProgress},
			template: &templates.Step{Name: fmt.Sprint(i)},
		}
		task.steps = append(task.steps, s)
		l.claimed = append(l.claimed, claimedStep{s, claimant, at})
	}
	task.agenda = makeAgenda(task.steps)
	task.agenda.running = steps
	// They hold the lock for longer than a mutex lets others wait before it goes to each in
	// its turn. So one of them looks after each change.
	fewest := steps
	var watching, begun sync.WaitGroup
	var started atomic.Bool
	for range 3 {
		begun.Add(1)
		watching.Go(func() {
			begun.Done()
			for !started.Load() {
				l.change(func() {
					fewest = min(fewest, task.agenda.running)
					time.Sleep(2 * time.Millisecond)
				})
			}
		})
	}
	begun.Wait()
	l.startClaimed(t.Context(), true)
	started.Store(true)
	watching.Wait()
	require.Equal(t, steps, fewest)
	require.Equal(t, steps, task.agenda.running)
	require.Empty(t, l.claimed)
}
