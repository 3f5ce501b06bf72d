package rubysteps_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// activeRecord is a database with the tables of test/ruby/active_record.
type activeRecord struct {
	*database
	names  []string // of the tests
	run    *rubyhost.Method
	bodies int
}

func newActiveRecord(t *testing.T) *activeRecord {
	t.Helper()
	ctx := t.Context()
	a := &activeRecord{database: newDatabase(t)}
	dir, err := filepath.Abs("../../test/ruby/active_record")
	require.NoError(t, err)
	require.NoError(t, host.Require(ctx, filepath.Join(dir, "suite.rb")), "the gems activerecord, pg and minitest are needed")
	c := a.pool.Config().ConnConfig
	a.call(t, "Suite.prepare", map[string]any{
		"host": c.Host, "port": c.Port, "database": c.Database, "username": c.User, "password": c.Password,
	})
	t.Cleanup(func() { a.call(t, "Suite.finish") })
	require.NoError(t, json.Unmarshal(a.call(t, "Suite.names"), &a.names))
	a.run, err = host.Method(ctx, "Suite.run")
	require.NoError(t, err)
	return a
}

func (a *activeRecord) call(t *testing.T, method string, args ...any) json.RawMessage {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // clean-up calls it too
	m, err := host.Method(ctx, method)
	require.NoError(t, err)
	out, err := m.Call(ctx, args...)
	require.NoError(t, err)
	return out
}

// verdict is what Suite.run returns.
type verdict struct {
	Assertions int      `json:"assertions"`
	Failures   []string `json:"failures"`
}

func (v verdict) require(t *testing.T) {
	t.Helper()
	for _, f := range v.Failures {
		t.Error(f)
	}
	require.NotZero(t, v.Assertions)
}

// outsideSteps leaves two of three tests of queries and of types out, unless all are asked
// for. Both are the same in a step, where all of them run.
func outsideSteps(names []string) (chosen []string) {
	for i, name := range names {
		likeInSteps := strings.HasPrefix(name, "QueryingTest#") || strings.HasPrefix(name, "TypesTest#")
		if !likeInSteps || i%effort.Of(3, 1) == 0 {
			chosen = append(chosen, name)
		}
	}
	return chosen
}

func TestActiveRecord(t *testing.T) {
	a := newActiveRecord(t)
	t.Run("OutsideSteps", func(t *testing.T) {
		for _, name := range outsideSteps(a.names) {
			t.Run(name, func(t *testing.T) {
				out, err := a.run.Call(t.Context(), name)
				require.NoError(t, err)
				var v verdict
				require.NoError(t, json.Unmarshal(out, &v))
				v.require(t)
				requireAllGivenBack(t, a.pool, "the test holds a connection")
			})
		}
	})
	t.Run("InSteps", func(t *testing.T) {
		template, err := templates.Parse([]byte(`name: suite
step_templates:
  - {name: only, handler_class: "Suite::Step", default_retry_limit: 1, timeout_seconds: 30}
`), "suite.yaml")
		require.NoError(t, err)
		for _, name := range a.names {
			t.Run(name, func(t *testing.T) {
				s := a.task(t, template, map[string]any{"test": name})
				require.Equal(t, orchestration.StepComplete, s.State, "%+v", s.Last().Err)
				var v verdict
				require.NoError(t, json.Unmarshal(s.Results(), &v))
				v.require(t)
				requireAllGivenBack(t, a.pool, "the step holds a connection")
			})
		}
	})
}

// task runs a task of one step.
func (a *activeRecord) task(t *testing.T, template *templates.Template, taskContext map[string]any) *orchestration.StepDetail {
	t.Helper()
	given, err := json.Marshal(taskContext)
	require.NoError(t, err)
	s, err := a.engine.Submit(t.Context(), orchestration.Submission{Template: template, Context: given})
	require.NoError(t, err)
	_, err = a.engine.Run(t.Context(), s.TaskID)
	require.NoError(t, err)
	detail, err := a.engine.Task(t.Context(), s.TaskID)
	require.NoError(t, err)
	return &detail.Steps[0]
}
