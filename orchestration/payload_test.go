package orchestration_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// The documents of an attempt are valid JSON for all names and texts. They show the task
// and its steps at this attempt.
func TestDocumentsOfAnAttempt(t *testing.T) {
	t.Parallel()
	const odd = "a \"b\" \\ <c> & d\te\u2028f\u00e9\U0001F600"
	type documents struct{ task, step, steps map[string]any }
	seen := map[string]documents{}
	look := func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		var d documents
		var steps []map[string]any
		require.NoError(t, json.Unmarshal(x.TaskHead, &d.task))
		require.NoError(t, json.Unmarshal(x.StepHead, &d.step))
		require.NoError(t, json.Unmarshal(x.StepHeads(), &steps))
		d.steps = map[string]any{}
		for _, s := range steps {
			d.steps[s["name"].(string)] = s
		}
		require.Equal(t, d.steps[x.StepName], any(d.step))
		seen[x.StepName] = d
		if x.StepName == "b" && x.Attempt == 1 {
			return nil, &orchestration.StepError{Class: "Busy", RetryAfter: new(time.Duration)}
		}
		return nil, nil
	}
	b := engine(t, funcs{"A": look, "B": look})
	tpl := template(t, "a:\nb: a", "description: "+`"`+`a \"b\" \\ <c>`+`"`)
	s, err := b.Submit(t.Context(), orchestration.Submission{
		Template: tpl, Initiator: odd, SourceSystem: "shop", Reason: odd, Tags: []string{odd, ""},
	})
	require.NoError(t, err)
	_, err = b.Run(t.Context(), s.TaskID)
	require.NoError(t, err)

	task := seen["b"].task
	created, err := time.Parse(time.RFC3339Nano, task["created_at"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), created, time.Minute)
	delete(task, "created_at")
	require.Equal(t, map[string]any{
		"task_id": float64(s.TaskID), "name": "test", "namespace_name": "ns", "version": tpl.Version, "status": "in_progress",
		"tags": []any{odd, ""}, "initiator": odd, "source_system": "shop", "reason": odd,
	}, task)

	first, second := seen["a"], seen["b"]
	stepOf := func(d documents, name string) map[string]any { return d.steps[name].(map[string]any) }
	require.Nil(t, stepOf(first, "b")["last_attempted_at"])
	require.Nil(t, stepOf(first, "b")["backoff_request_seconds"])
	require.Equal(t, true, stepOf(first, "a")["in_process"])
	done, now := stepOf(second, "a"), second.step
	for _, d := range []map[string]any{done, now} {
		at, err := time.Parse(time.RFC3339Nano, d["last_attempted_at"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), at, time.Minute)
		delete(d, "last_attempted_at")
		delete(d, "workflow_step_id")
	}
	require.Equal(t, map[string]any{
		"task_id": float64(s.TaskID), "name": "a", "description": `a "b" \ <c>`, "dependent_system": "unknown", "status": "complete", "attempts": 1.0, "retry_limit": 3.0,
		"retryable": true, "processed": true, "in_process": false, "inputs": nil, "backoff_request_seconds": nil,
		"parents": []any{}, "children": []any{"b"}, "handler_class": "A",
	}, done)
	require.Equal(t, map[string]any{
		"task_id": float64(s.TaskID), "name": "b", "description": `a "b" \ <c>`, "dependent_system": "unknown", "status": "in_progress", "attempts": 2.0, "retry_limit": 3.0,
		"retryable": true, "processed": false, "in_process": true, "inputs": nil, "backoff_request_seconds": 0.0,
		"parents": []any{"a"}, "children": []any{}, "handler_class": "B",
	}, now)
}
