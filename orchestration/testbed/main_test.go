package testbed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
	"github.com/tasker-rb/tasker-rb/internal/leaktest"
	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/templates"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{})
}

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

// complaints leaves out what a lost connection brings with it: a heartbeat may see that the
// backend is gone before the statement on it does. It also leaves out that a busy machine has
// kept the server silent.
func complaints(log string) (found []string) {
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "closed connections that the server no longer has") && !strings.Contains(line, "the server has not answered a heartbeat") {
			found = append(found, line)
		}
	}
	return found
}

func open(t testing.TB, change ...func(*testbed.Config)) *testbed.Bed {
	t.Helper()
	var log bytes.Buffer
	t.Cleanup(func() { require.Empty(t, complaints(log.String()), "the engines complain") })
	config := testbed.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), URL: pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate, tables)), Engine: orchestration.Config{Handlers: handlers()}}
	for _, f := range change {
		f(&config)
	}
	bed, err := testbed.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bed.Close()) })
	return bed
}

// begin begins a test at noon.
func begin(t testing.TB, bed *testbed.Bed) {
	t.Helper()
	require.NoError(t, bed.Begin(t.Context(), noon))
}

// run runs a task that must end as complete.
func run(t testing.TB, bed *testbed.Bed, template *templates.Template, o testbed.RunOptions) *testbed.Run {
	t.Helper()
	r, err := bed.Run(t.Context(), orchestration.Submission{Template: template}, o)
	require.NoError(t, err)
	require.Equal(t, orchestration.TaskComplete, r.Task.State, "%+v", r.Trace)
	return r
}

func add(t testing.TB, bed *testbed.Bed, faults ...testbed.Fault) {
	t.Helper()
	for _, f := range faults {
		require.NoError(t, bed.Add(f))
	}
}

// charged are the rows that the handlers have written, without their numbers.
func charged(t testing.TB, bed *testbed.Bed) []string {
	t.Helper()
	return texts(t, bed, "select concat_ws(' ', step, item, cents) from charges order by 1")
}

func texts(t testing.TB, bed *testbed.Bed, sql string, args ...any) []string {
	t.Helper()
	rows, err := bed.Pool().Query(t.Context(), sql, args...)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

// outcomes are those of a step's attempts.
func outcomes(t testing.TB, task *orchestration.TaskDetail, step string) (all []string) {
	t.Helper()
	for i := range task.Steps {
		if task.Steps[i].Name == step {
			for _, a := range task.Steps[i].History {
				all = append(all, a.Outcome)
			}
			return all
		}
	}
	require.Fail(t, "no such step", step)
	return nil
}

// everyStatement sends a statement in each of the ways that a transaction has.
func everyStatement(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "insert into charges (cents) values (1)"); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, "select item from prices order by 1")
	if err != nil {
		return nil, err
	}
	if _, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, err
	}
	var n int
	if err := tx.QueryRow(ctx, "select count(*) from charges").Scan(&n); err != nil {
		return nil, err
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"charges"}, []string{"cents"}, pgx.CopyFromRows([][]any{{2}})); err != nil {
		return nil, err
	}
	var batch pgx.Batch
	batch.Queue("insert into charges (cents) values (3)")
	batch.Queue("insert into charges (cents) values (4)")
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	nested, err := tx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := nested.Exec(ctx, "insert into charges (cents) values (5)"); err != nil {
		return nil, err
	}
	return nil, nested.Commit(ctx)
}

// silent is a test that only makes a database. It goes with its server.
type silent struct{ testing.TB }

func (silent) Helper()        {}
func (silent) Cleanup(func()) {}

// databaseURL is that of a database for an example.
func databaseURL() string {
	return pgtest.URL(silent{}, pgtest.WithTemplate(orchestration.Migrate, tables))
}
