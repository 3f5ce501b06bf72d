package orchestration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// rowsOf counts the rows of every table of the engine and of the handler, except those of
// the engines that live.
func rowsOf(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var text string
	require.NoError(t, pool.QueryRow(t.Context(), `
		select string_agg(format('%s %s', table_name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I.%I', table_schema, table_name), false, true, '')))[1]), ', ' order by table_name)
		from information_schema.tables
		where table_schema in ('tasker', 'public') and table_type = 'BASE TABLE' and table_name <> 'workers'`).Scan(&text))
	return text
}

// seen is what a handler sees of its step.
func seen(t *testing.T, x *orchestration.StepExecution) string {
	t.Helper()
	results, err := x.Results(t.Context())
	require.NoError(t, err)
	text := fmt.Sprintln(x.TaskID, x.StepID, x.Attempt, x.StepName, x.Class, x.Steps, x.Parents, string(x.Context), string(x.Config), string(x.TaskHead), string(x.StepHead), string(x.StepHeads()))
	for _, r := range results {
		text += r.Step + string(r.JSON)
	}
	return text
}

// The handler of a step that is tried sees what it saw in its latest attempt, and nothing
// of what it writes is left.
func TestTryRepeatsTheStep(t *testing.T) {
	t.Parallel()
	var saw []string
	handlers := funcs{
		"A": value(exact),
		"L": value(`"` + strings.Repeat("x", 1<<20) + `"`),
		"B": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			saw = append(saw, seen(t, x))
			tx, err := x.Tx(ctx)
			if err != nil {
				return nil, err
			}
			if _, err := tx.Exec(ctx, "insert into public.journal values ($1)", x.StepName); err != nil {
				return nil, err
			}
			return nil, &orchestration.StepError{Class: "Bank::Declined", Message: "declined", ErrorCode: "D1", Permanent: x.Attempt == 2}
		},
	}
	b := engine(t, handlers)
	_, err := b.pool.Exec(t.Context(), "create table public.journal (entry text)")
	require.NoError(t, err)
	d := b.run(t, template(t, "a:\nl:\nb: a l\nc: b", "handler_config: {x: 0.10}"))
	require.Len(t, saw, 2)
	x, err := b.Export(t.Context(), d.TaskID)
	require.NoError(t, err)
	document, err := x.Encode()
	require.NoError(t, err)
	x, err = orchestration.DecodeExport(document)
	require.NoError(t, err)

	other := engine(t, handlers)
	_, err = other.pool.Exec(t.Context(), "create table public.journal (entry text)")
	require.NoError(t, err)
	before := rowsOf(t, other.pool)
	r, err := other.Try(t.Context(), orchestration.TryOptions{Export: x, Step: "b"})
	require.NoError(t, err)
	require.Equal(t, "Bank::Declined: declined", r.Err.Error())
	require.Equal(t, 2, r.Attempt)
	require.Equal(t, 2, r.Recorded.Number)
	require.Empty(t, r.Differences)
	require.Equal(t, before, rowsOf(t, other.pool))
	require.Contains(t, before, "journal 0")
	require.Len(t, saw, 3)
	forget := func(text string) string { // how the step waited for the attempt is not recorded
		before, _, _ := strings.Cut(text, `"backoff_request_seconds":`)
		return before
	}
	require.Equal(t, forget(saw[1]), forget(saw[2]))
	require.Equal(t, saw[1][len(saw[1])-1<<20:], saw[2][len(saw[2])-1<<20:])
	require.Empty(t, other.events)
}

// trial tries the step a of a task that is recorded with the first handler, with the
// second one.
func trial(t *testing.T, more string, first, second orchestration.StepHandlerFunc, edit ...func(*orchestration.Config)) *orchestration.TryResult {
	t.Helper()
	b := engine(t, funcs{"A": first})
	d := b.run(t, template(t, "a:", more))
	x, err := b.Export(t.Context(), d.TaskID)
	require.NoError(t, err)
	r, err := engine(t, funcs{"A": second}, edit...).Try(t.Context(), orchestration.TryOptions{Export: x, Step: "a"})
	require.NoError(t, err)
	return r
}

func failsWith(class, message string) orchestration.StepHandlerFunc {
	return func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return nil, &orchestration.StepError{Class: class, Message: message, Permanent: true}
	}
}

func TestTryComparesWithTheRecord(t *testing.T) {
	t.Parallel()
	long := value(`[` + strings.Repeat("1,", 30) + `1]`)
	for _, c := range []struct {
		first, second orchestration.StepHandlerFunc
		differences   []string
	}{
		{value(exact), value(exact), nil},
		{value(`{"a": 1, "b": 2}`), value(`{"b": 2, "a": 1}`), nil},
		{value(`{"f": 0.10, "x": 1}`), value(`{"f": 0.1, "y": {}}`), []string{"results.f is 0.1, and was 0.10", "results.x is missing, and was 1", "results.y is {}, and was not there"}},
		{value(`[{"a": [1, 2]}]`), value(`[{"a": [1, 3, 4]}]`), []string{"results[0].a[1] is 3, and was 2", "results[0].a has 3 elements, and had 2"}},
		{value(`null`), value(`{}`), []string{"results is {}, and was null"}},
		{long, value(strings.Repeat("[", 1) + strings.Repeat("2,", 30) + "1]"), []string{
			"results[0] is 2, and was 1", "results[1] is 2, and was 1", "results[2] is 2, and was 1", "results[3] is 2, and was 1", "results[4] is 2, and was 1",
			"results[5] is 2, and was 1", "results[6] is 2, and was 1", "results[7] is 2, and was 1", "results[8] is 2, and was 1", "results[9] is 2, and was 1", "and 20 more",
		}},
		{failsWith("X", "m"), failsWith("X", "m"), nil},
		{failsWith("X", "m"), failsWith("Y", "n"), []string{`the error's class is "Y", and was "X"`, `the error's message is "n", and was "m"`}},
		{failsWith("X", "m"), value("1"), []string{"it is complete, and failed when it was recorded: X: m"}},
		{value("1"), failsWith("X", "m"), []string{"it failed, and was complete when it was recorded"}},
	} {
		require.Equal(t, c.differences, trial(t, "", c.first, c.second).Differences)
	}
}

func TestTryDoesNotCompareWhatIsRedacted(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"A": value(`{"token": "secret", "n": 1}`), "B": failsWith("X", "secret")})
	d := b.run(t, template(t, "a:\nb: a", ""))
	x, err := b.Export(t.Context(), d.TaskID)
	require.NoError(t, err)
	x, err = x.Redact("steps.a.results.token", "steps.b.attempts[*].error.message")
	require.NoError(t, err)
	for _, step := range []string{"a", "b"} {
		r, err := b.Try(t.Context(), orchestration.TryOptions{Export: x, Step: step})
		require.NoError(t, err)
		require.Empty(t, r.Differences)
		require.NotNil(t, r.Recorded)
	}
}

// What ends an attempt otherwise ends a trial.
func TestTryMeetsTheOtherEnds(t *testing.T) {
	t.Parallel()
	one := value("1")
	sql := func(text string) orchestration.StepHandlerFunc {
		return func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			_, err := x.SQL().Exec(ctx, &sqlsession.Statement{SQL: text})
			if err == nil || strings.Contains(text, "1/0") { // which is swallowed
				return json.RawMessage("1"), nil
			}
			return nil, err
		}
	}
	r := trial(t, "timeout_seconds: 0.05", one, func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	require.Equal(t, "Tasker::StepTimeout", r.Err.Class)

	forever := make(chan struct{})
	defer close(forever)
	r = trial(t, "timeout_seconds: 0.05", one, func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		<-forever
		return nil, nil
	}, func(c *orchestration.Config) { c.Grace = 10 * time.Millisecond }, mayLogErrors)
	require.Equal(t, "Tasker::StepTimeout", r.Err.Class)

	r = trial(t, "", one, func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) { panic("oops") })
	require.Equal(t, "panic", r.Err.Class)
	r = trial(t, "", one, value(`{"a":`))
	require.Equal(t, "Tasker::UnrepresentableError", r.Err.Class)
	r = trial(t, "", one, sql("select 1/0"))
	require.Contains(t, r.Err.Message, "division by zero")
	r = trial(t, "", one, sql("create temp table s (n int unique deferrable initially deferred); insert into s values (1), (1)"))
	require.Contains(t, r.Err.Message, "could not be committed")
	r = trial(t, "transaction: none", one, sql("select 1"))
	require.Nil(t, r.Err)
	r = trial(t, "transaction: always\nisolation: serializable", one, sql("select 1"))
	require.Nil(t, r.Err)
}

// A person with a debugger takes any time, in a task and in a repeated step.
func TestNoTimeouts(t *testing.T) {
	t.Parallel()
	config := database(t).Config()
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "1h"
	impatient, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(impatient.Close)
	for _, free := range []bool{false, true} {
		limits := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			r, err := x.SQL().Exec(ctx, &sqlsession.Statement{SQL: "select current_setting('idle_in_transaction_session_timeout') <> '0'"})
			if err != nil {
				return nil, err
			}
			deadline, limited := ctx.Deadline() // the test has one, too
			return json.RawMessage(fmt.Sprintf("[%v, %v]", limited && time.Until(deadline) < 20*time.Second, string(r.Values) == "t")), nil
		}
		b := engineOn(t, impatient, funcs{"A": limits}, func(c *orchestration.Config) { c.NoTimeouts = free })
		d := b.run(t, template(t, "a:", "timeout_seconds: 20"))
		want := fmt.Sprintf("[%v, %v]", !free, !free)
		require.JSONEq(t, want, string(d.Steps[0].Results()))
		x, err := b.Export(t.Context(), d.TaskID)
		require.NoError(t, err)
		r, err := b.Try(t.Context(), orchestration.TryOptions{Export: x, Step: "a"})
		require.NoError(t, err)
		require.JSONEq(t, want, string(r.Results))
	}
}

func TestTryRunsTheHooksOfARollback(t *testing.T) {
	t.Parallel()
	var fate sqlsession.Fate
	ended := make(chan struct{})
	r := trial(t, "", value("1"), func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		x.SQL().OnEnd(func(_ []uint64, f sqlsession.Fate) { fate = f; close(ended) })
		_, err := x.SQL().AddHook(ctx, 7)
		return json.RawMessage("1"), err
	})
	require.Nil(t, r.Err)
	<-ended
	require.Equal(t, sqlsession.RolledBack, fate)
}

func TestOnStatement(t *testing.T) {
	t.Parallel()
	var traced []string
	handler := func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		_, err := x.SQL().Exec(ctx, &sqlsession.Statement{SQL: "select $1::int", Params: [][]byte{[]byte("7")}})
		return json.RawMessage("1"), err
	}
	trace := func(c *orchestration.Config) {
		c.OnStatement = func(x *orchestration.StepExecution, s sqlsession.Traced) {
			traced = append(traced, fmt.Sprint(x.StepName, " ", s.SQL, s.Params, s.Rows, s.Took > 0))
		}
	}
	trial(t, "", handler, handler, trace)
	require.Equal(t, []string{"a select $1::int['7'] 1 true"}, traced)
	engine(t, funcs{"A": handler}, trace).run(t, template(t, "a:", "transaction: none"))
	require.Len(t, traced, 2)
}

func TestTryRefuses(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"Charge": failsWith("X", "m")})
	d := b.run(t, template(t, "charge:\nship: charge", ""))
	x, err := b.Export(t.Context(), d.TaskID)
	require.NoError(t, err)
	_, err = b.Try(t.Context(), orchestration.TryOptions{Export: x, Step: "chrge"})
	require.ErrorIs(t, err, orchestration.ErrStepNotFound)
	require.Contains(t, errors.FlattenHints(err), `Did you mean "charge"?`)
	_, err = b.Try(t.Context(), orchestration.TryOptions{Export: x, Step: "ship"})
	require.ErrorIs(t, err, orchestration.ErrStepNotReady)
	require.Contains(t, errors.FlattenHints(err), `"charge" first`)
	_, err = b.Try(t.Context(), orchestration.TryOptions{Step: "ship"})
	require.ErrorContains(t, err, "Export is missing")

	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	stopped := engine(t, funcs{"Charge": func(ctx context.Context, _ *orchestration.StepExecution) (json.RawMessage, error) {
		cancel(reason)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	_, err = stopped.Try(ctx, orchestration.TryOptions{Export: x, Step: "charge"})
	require.ErrorIs(t, err, reason)
}
