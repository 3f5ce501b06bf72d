package testbed_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/templates"
)

// tables are those of the handlers.
func tables(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		create table prices (item text primary key, cents int not null);
		insert into prices values ('book', 1250), ('pen', 300);
		create table charges (id bigint generated always as identity primary key, item text references prices, cents bigint, step text)`)
	return err
}

// charge writes two rows in the step's transaction.
func charge(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return nil, err
	}
	for _, item := range []string{"book", "pen"} {
		if _, err = tx.Exec(ctx, "insert into charges (item, cents, step) select item, cents, $2 from prices where item = $1", item, x.StepName); err != nil {
			return nil, err
		}
	}
	return json.RawMessage(`{"charged": 2}`), nil
}

func handlers() orchestration.Handlers {
	return orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
		"Charge": orchestration.StepHandlerFunc(charge),
		"Plain": orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
			return json.RawMessage(`1`), nil
		}),
	}}
}

func parse(t testing.TB, text string) *templates.Template {
	t.Helper()
	template, err := templates.Parse([]byte(text), "shop.yaml")
	require.NoError(t, err)
	return template
}

const shopYAML = `
name: shop
step_templates:
  - {name: validate, handler_class: Plain}
  - {name: charge, handler_class: Charge, depends_on_step: validate, timeout_seconds: 60}
  - {name: ship, handler_class: Plain, depends_on_step: charge}
  - {name: thank, handler_class: Charge, depends_on_step: ship}
`

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, change ...func(*testbed.Config)) *testbed.Bed {
	t.Helper()
	config := testbed.Config{URL: pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate, tables)), Engine: orchestration.Config{Handlers: handlers()}}
	for _, f := range change {
		f(&config)
	}
	bed, err := testbed.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bed.Close()) })
	return bed
}

func BenchmarkBeginAndRun(b *testing.B) {
	bed, template := open(b), parse(b, shopYAML)
	for b.Loop() {
		require.NoError(b, bed.Begin(b.Context(), noon))
		run, err := bed.Run(b.Context(), orchestration.Submission{Template: template}, testbed.RunOptions{})
		require.NoError(b, err)
		require.Equal(b, orchestration.TaskComplete, run.Task.State)
	}
}

func BenchmarkBegin(b *testing.B) {
	bed := open(b)
	for b.Loop() {
		require.NoError(b, bed.Begin(b.Context(), noon))
	}
}
