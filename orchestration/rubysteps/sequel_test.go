package rubysteps_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// sequel is the database of the tests in test/ruby/sequel.
type sequel struct {
	*database
	names []string // of the tests
	test  *rubyhost.Method
}

func newSequel(t *testing.T) *sequel {
	t.Helper()
	ctx := t.Context()
	s := &sequel{database: newDatabase(t)}
	suite, err := filepath.Abs("../../test/ruby/sequel/suite.rb")
	require.NoError(t, err)
	require.NoError(t, host.Require(ctx, suite), "the gems sequel, pg and minitest are needed")
	c := s.pool.Config().ConnConfig
	s.call(t, "SequelSuite.prepare", map[string]any{
		"host": c.Host, "port": c.Port, "database": c.Database, "user": c.User, "password": c.Password,
	})
	t.Cleanup(func() { s.call(t, "SequelSuite.finish") })
	require.NoError(t, json.Unmarshal(s.call(t, "SequelSuite.names"), &s.names))
	s.test, err = host.Method(ctx, "SequelSuite.run")
	require.NoError(t, err)
	return s
}

func (s *sequel) call(t *testing.T, method string, args ...any) json.RawMessage {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // clean-up calls it too
	m, err := host.Method(ctx, method)
	require.NoError(t, err)
	out, err := m.Call(ctx, args...)
	require.NoError(t, err)
	return out
}

// sequelVerdict is what SequelSuite.run returns.
type sequelVerdict struct {
	Assertions int      `json:"assertions"`
	Failures   []string `json:"failures"`
}

func requireVerdict(t *testing.T, report []byte) {
	t.Helper()
	var v sequelVerdict
	require.NoError(t, json.Unmarshal(report, &v))
	for _, f := range v.Failures {
		t.Error(f)
	}
	require.NotZero(t, v.Assertions)
}

// Each test of the suite runs twice: outside steps, and as the body of one.
func TestSequel(t *testing.T) {
	s := newSequel(t)
	t.Run("OutsideSteps", func(t *testing.T) {
		for _, name := range s.names {
			t.Run(name, func(t *testing.T) {
				report, err := s.test.Call(t.Context(), name)
				require.NoError(t, err)
				requireVerdict(t, report)
				requireAllGivenBack(t, s.pool, "the test holds a connection")
			})
		}
	})
	t.Run("InSteps", func(t *testing.T) {
		template, err := templates.Parse([]byte(`name: suite
step_templates:
  - {name: only, handler_class: "SequelSuite::Step", default_retry_limit: 1, timeout_seconds: 60}
`), "suite.yaml")
		require.NoError(t, err)
		for _, name := range s.names {
			t.Run(name, func(t *testing.T) {
				step := s.task(t, template, map[string]any{"test": name})
				require.Equal(t, orchestration.StepComplete, step.State, "%+v", step.Last().Err)
				requireVerdict(t, step.Results())
				requireAllGivenBack(t, s.pool, "the step holds a connection")
			})
		}
	})
}

// task runs a task of one step.
func (s *sequel) task(t *testing.T, template *templates.Template, taskContext map[string]any) *orchestration.StepDetail {
	t.Helper()
	given, err := json.Marshal(taskContext)
	require.NoError(t, err)
	submitted, err := s.engine.Submit(t.Context(), orchestration.Submission{Template: template, Context: given})
	require.NoError(t, err)
	_, err = s.engine.Run(t.Context(), submitted.TaskID)
	require.NoError(t, err)
	detail, err := s.engine.Task(t.Context(), submitted.TaskID)
	require.NoError(t, err)
	return &detail.Steps[0]
}
