package rubysteps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/templates"
)

// BenchmarkUpdate measures one UPDATE in a handler through each of the three
// adapters, and the same UPDATE in plain ruby with the pg gem or the library's own
// adapter. All run in an open transaction on one server. docs/performance.md says
// how to read it.
func BenchmarkUpdate(b *testing.B) {
	url := pgtest.URL(b, pgtest.WithTemplate(orchestration.Migrate))
	pool := connect(b, url)
	_, err := pool.Exec(b.Context(), `create table accounts (id int primary key, balance bigint not null);
		insert into accounts select n, 0 from generate_series(0, 99999) n; analyze accounts`)
	require.NoError(b, err)
	_, err = rubysteps.ServeSQL(b.Context(), host, pool, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	engine, err := orchestration.New(b.Context(), orchestration.Config{
		Pool: pool, Handlers: rubysteps.New(host), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, engine.Close()) })
	require.NoError(b, host.Load(b.Context(), "testdata/update_handlers.rb"))

	for _, threads := range []int{1, 8} {
		for _, adapter := range []struct{ class, child string }{{"TaskerDb", "pg"}, {"Sequel", "sequel"}, {"ActiveRecord", "active_record"}} {
			b.Run(fmt.Sprintf("%s/threads=%d", adapter.class, threads), func(b *testing.B) {
				count := b.N/threads + 1
				b.ReportMetric(updates(b, engine, "Bench::"+adapter.class, threads, count)*1e9/float64(count*threads), "ns/query")
				b.ReportMetric(0, "ns/op")
			})
			b.Run(fmt.Sprintf("plain_ruby_%s/threads=%d", adapter.child, threads), func(b *testing.B) {
				count := b.N/threads + 1
				out, err := exec.Command("ruby", "testdata/pg_updates.rb", adapter.child, url, strconv.Itoa(threads), strconv.Itoa(count)).CombinedOutput()
				require.NoError(b, err, string(out))
				seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
				require.NoError(b, err)
				b.ReportMetric(seconds*1e9/float64(count*threads), "ns/query")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// updates runs one task of parallel steps, one for each thread, with count updates
// each. It returns the seconds from the start of the first step to the end of the
// last.
func updates(b *testing.B, engine *orchestration.Engine, class string, threads, count int) float64 {
	var yaml strings.Builder
	fmt.Fprintf(&yaml, "name: updates_%d_%d_%s\nstep_templates:\n", threads, count, strings.ToLower(class[7:]))
	for i := range threads {
		fmt.Fprintf(&yaml, "  - {name: s%d, handler_class: %q, default_retry_limit: 1, handler_config: {first: %d, count: %d}}\n", i, class, i*12500, count)
	}
	template, err := templates.Parse([]byte(yaml.String()), "updates.yaml")
	require.NoError(b, err)
	s, err := engine.Submit(b.Context(), orchestration.Submission{Template: template, Context: json.RawMessage(`{}`)})
	require.NoError(b, err)
	out, err := engine.Run(context.WithoutCancel(b.Context()), s.TaskID)
	require.NoError(b, err)
	require.Equal(b, orchestration.TaskComplete, out.State)
	task, err := engine.Task(b.Context(), s.TaskID)
	require.NoError(b, err)
	var began, ended float64
	for i := range task.Steps {
		var result struct{ Began, Ended float64 }
		require.NoError(b, json.Unmarshal(task.Steps[i].Results(), &result))
		if i == 0 || result.Began < began {
			began = result.Began
		}
		ended = max(ended, result.Ended)
	}
	return ended - began
}

func connect(b *testing.B, url string) *pgxpool.Pool {
	b.Helper()
	config, err := pgxpool.ParseConfig(url)
	require.NoError(b, err)
	config.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	return pool
}
