package orchestrationtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, nil)
}

// recorder is a test that records how it fails, and ends when end is called. Examples use
// it in place of the test that they would be in.
type recorder struct {
	testing.TB
	ctx      context.Context //nolint:containedctx // as in testing.T
	cleanups []func()
	failures []string
}

// errEnded is what a recorder panics with when the test would end.
var errEnded = errors.New("the test has ended")

func newRecorder() *recorder { return &recorder{ctx: context.Background()} }

func (r *recorder) Helper()                  {}
func (r *recorder) Name() string             { return "TestExample" }
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Log(...any)               {}
func (r *recorder) FailNow()                 { panic(errEnded) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

// fails returns what f said when it ended the test.
func (r *recorder) fails(f func()) (said string) {
	defer func() {
		if recover() != nil {
			said = r.failures[len(r.failures)-1]
		}
	}()
	f()
	return "it did not fail"
}

// end runs the clean-up of the test.
func (r *recorder) end() {
	for len(r.cleanups) > 0 {
		last := len(r.cleanups) - 1
		f := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		f()
	}
}

// order is the context of the tests' tasks.
type order struct {
	Cents int64 `json:"cents"`
}

// tables are those of the handlers.
func tables(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "create table charges (cents bigint)")
	return err
}

// charge writes a row in the step's transaction.
func charge(ctx context.Context, in order, x *orchestration.StepExecution) (int64, error) {
	tx, err := x.Tx(ctx)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, "insert into charges values ($1)", in.Cents)
	return in.Cents, err
}

// thank returns a text that needs the step before.
func thank(ctx context.Context, _ order, x *orchestration.StepExecution) (string, error) {
	cents, err := orchestration.ResultOf[int64](ctx, x, "charge")
	return fmt.Sprintf("thank you for %d cents", cents), err
}

func config(more ...func(*orchestration.Config)) orchestration.Config {
	c := orchestration.Config{Handlers: orchestration.Handlers{ByClass: map[string]orchestration.StepHandler{
		"Charge": orchestration.Handle(charge), "Thank": orchestration.Handle(thank),
	}}}
	for _, f := range more {
		f(&c)
	}
	return c
}

// shop is a template whose step charge is tried for a week.
func shop(t testing.TB) *templates.Template {
	t.Helper()
	template, err := templates.Parse([]byte(`
name: shop
step_templates:
  - name: charge
    handler_class: Charge
    default_retry_limit: 4
    backoff: {curve: exponential, base_seconds: 86400, max_seconds: 604800}
  - {name: thank, handler_class: Thank, depends_on_step: charge}
`), "shop.yaml")
	require.NoError(t, err)
	return template
}
