package orchestration_test

import (
	"encoding/json"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// reported waits until the only worker's report is this one.
func reported(t *testing.T, e *orchestration.Engine, document string) (number int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := e.Workers(t.Context())
		if err != nil || len(list) != 1 || list[0].Report == nil {
			return false
		}
		number = list[0].Number
		var want, got any
		require.NoError(t, json.Unmarshal([]byte(document), &want))
		require.NoError(t, json.Unmarshal(list[0].Report, &got))
		return reflect.DeepEqual(want, got)
	}, patience, 5*time.Millisecond, document)
	return number
}

// Another process reads what a worker reports. The report stays with the worker when it loses
// its session and has another row.
func TestReport(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	one := engineOn(t, b.pool, nil, mayLogErrors)
	one.work(t, orchestration.WorkerConfig{})
	require.Eventually(t, func() bool {
		list, err := b.Workers(t.Context())
		return err == nil && len(list) == 1 && list[0].Report == nil
	}, patience, 5*time.Millisecond)

	require.NoError(t, one.Report(json.RawMessage(`{"memory": {"rss": 1}}`)))
	reported(t, b.Engine, `{"memory": {"rss": 1}}`)
	large := `{"text": "` + strings.Repeat("ü", 4000) + `"}`
	require.NoError(t, one.Report(json.RawMessage(large)))
	number := reported(t, b.Engine, large)
	for _, bad := range []string{"", "{", strings.Repeat(" ", orchestration.MaxReport) + "1"} {
		err := one.Report(json.RawMessage(bad))
		require.Error(t, err)
		require.NotEmpty(t, errors.FlattenHints(err))
	}

	_, err := b.pool.Exec(t.Context(), "select pg_terminate_backend(backend_pid) from tasker.workers where number = $1", number)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := b.Workers(t.Context())
		return err == nil && len(list) == 1 && list[0].Number != number
	}, patience, 5*time.Millisecond)
	require.NotEqual(t, number, reported(t, b.Engine, large))
}

// The server takes no JSON with a NUL. The engine says so, and keeps its session.
func TestReportThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	log := &lines{}
	one := engineOn(t, b.pool, nil, func(c *orchestration.Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	one.work(t, orchestration.WorkerConfig{})
	require.NoError(t, one.Report(json.RawMessage(`[1]`)))
	number := reported(t, b.Engine, `[1]`)
	require.NoError(t, one.Report(json.RawMessage(`"\u0000"`)))
	require.Eventually(t, func() bool { return log.count("the engine's report could not be written") == 1 }, patience, 5*time.Millisecond)
	require.NoError(t, one.Report(json.RawMessage(`[2]`)))
	require.Equal(t, number, reported(t, b.Engine, `[2]`))
}
