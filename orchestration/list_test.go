package orchestration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestTasksAreListedByFilter(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Bad": failing})
	good, bad := template(t, "a:", ""), named(t, "broken", "good:\nbad:\nafter: bad", "default_retry_limit: 1")
	complete := b.run(t, good).TaskID
	failed := b.run(t, bad).TaskID
	tagged, err := b.Submit(t.Context(), orchestration.Submission{Template: good, Tags: []string{"vip", "eu"}})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		filter orchestration.Filter
		want   []int64
	}{
		"all, newest first": {orchestration.Filter{}, []int64{tagged.TaskID, failed, complete}},
		"limit":             {orchestration.Filter{Limit: 1}, []int64{tagged.TaskID}},
		"next page":         {orchestration.Filter{Limit: 1, Below: tagged.TaskID}, []int64{failed}},
		"state":             {orchestration.Filter{States: []orchestration.TaskState{orchestration.TaskPending, orchestration.TaskInError}}, []int64{tagged.TaskID, failed}},
		"name":              {orchestration.Filter{Namespace: "ns", Name: "broken"}, []int64{failed}},
		"version":           {orchestration.Filter{Version: "2.0.0"}, nil},
		"tags":              {orchestration.Filter{Tags: []string{"eu"}}, []int64{tagged.TaskID}},
		"error class":       {orchestration.Filter{ErrorClass: "Gateway::Down"}, []int64{failed}},
		"other error class": {orchestration.Filter{ErrorClass: "Gateway::Up"}, nil},
		"age":               {orchestration.Filter{CreatedBefore: time.Now().Add(-time.Hour)}, nil},
		"not begun":         {orchestration.Filter{BegunBefore: time.Now().Add(time.Hour)}, nil},
		"young":             {orchestration.Filter{CreatedAfter: time.Now().Add(-time.Hour), Limit: 2}, []int64{tagged.TaskID, failed}},
	} {
		list, err := b.Tasks(t.Context(), c.filter)
		require.NoError(t, err, name)
		var ids []int64
		for _, s := range list {
			ids = append(ids, s.TaskID)
		}
		require.Equal(t, c.want, ids, name)
		if c.filter.Limit == 0 {
			n, err := b.CountTasks(t.Context(), c.filter)
			require.NoError(t, err, name)
			require.Equal(t, len(c.want), n, name)
		}
	}
	list, err := b.Tasks(t.Context(), orchestration.Filter{Name: "broken"})
	require.NoError(t, err)
	s := list[0]
	require.Equal(t, []any{3, 1, 1, "bad", "Gateway::Down"}, []any{s.Steps, s.Done, s.Failed, s.FailedStep, s.ErrorClass})
	require.False(t, s.EndedAt.IsZero())

	_, err = b.Tasks(t.Context(), orchestration.Filter{Limit: 5000})
	require.ErrorContains(t, err, "5000")
	_, err = b.Tasks(t.Context(), orchestration.Filter{States: []orchestration.TaskState{"done"}})
	require.ErrorContains(t, err, `"done"`)
	_, err = b.CountTasks(t.Context(), orchestration.Filter{States: []orchestration.TaskState{"done"}})
	require.ErrorContains(t, err, `"done"`)
}
