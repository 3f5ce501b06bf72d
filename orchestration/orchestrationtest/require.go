package orchestrationtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// RequireComplete ends the test unless the task is complete. It then says what became of
// each step.
func RequireComplete(t testing.TB, task *orchestration.TaskDetail) {
	t.Helper()
	if task.State != orchestration.TaskComplete {
		t.Fatalf("task %d (%s) is in state %s:\n%s", task.TaskID, task.Name, task.State, describe(task))
	}
}

// RequireStep returns a step of the task. It ends the test unless the step is in that
// state.
func RequireStep(t testing.TB, task *orchestration.TaskDetail, name string, state orchestration.StepState) *orchestration.StepDetail {
	t.Helper()
	for i := range task.Steps {
		step := &task.Steps[i]
		if step.Name != name {
			continue
		}
		if step.State != state {
			t.Fatalf("step %s is in state %s and not in %s:\n%s", name, step.State, state, describe(task))
		}
		return step
	}
	t.Fatalf("task %d (%s) has no step %s:\n%s", task.TaskID, task.Name, name, describe(task))
	return nil
}

// ResultOf returns the results of a step, decoded by encoding/json. It ends the test if the
// step is not done, or if they do not fit T.
func ResultOf[T any](t testing.TB, task *orchestration.TaskDetail, name string) T {
	t.Helper()
	step := RequireStep(t, task, name, orchestration.StepComplete)
	var value T
	d := json.NewDecoder(bytes.NewReader(step.Results()))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatalf("the results of step %s are no %T: %v\n%s", name, value, err, step.Results())
	}
	return value
}

// describe writes a line for each step.
func describe(task *orchestration.TaskDetail) string {
	var b strings.Builder
	for _, s := range task.Steps {
		fmt.Fprintf(&b, "  %s: %s after %d attempts", s.Name, s.State, len(s.History))
		if last := s.Last(); last != nil && last.Err != nil {
			fmt.Fprintf(&b, ", %s", last.Err)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
