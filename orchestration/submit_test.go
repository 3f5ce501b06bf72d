package orchestration_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	tpl := template(t, "a:", "")
	submit := func(s orchestration.Submission) orchestration.Submitted {
		t.Helper()
		s.Template = tpl
		made, err := b.Submit(t.Context(), s)
		require.NoError(t, err)
		return made
	}
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }

	require.NotEqual(t, submit(orchestration.Submission{}).TaskID, submit(orchestration.Submission{}).TaskID, "no identity")

	first := submit(orchestration.Submission{IdentityKey: "order 7"})
	require.False(t, first.Existed)
	require.Equal(t, orchestration.Submitted{TaskID: first.TaskID, Existed: true}, submit(orchestration.Submission{IdentityKey: "order 7", Context: raw(`{"a":1}`)}))

	content := submit(orchestration.Submission{IdentityByContent: true, Context: raw(`{"a": 1, "b": [1.0, 2]}`)})
	require.False(t, content.Existed)
	require.Equal(t, orchestration.Submitted{TaskID: content.TaskID, Existed: true},
		submit(orchestration.Submission{IdentityByContent: true, Context: raw(`{"b":[1.0,2],"a":1}`)}))
	for _, other := range []string{`{"a":1,"b":[2,1.0]}`, `{"a":1,"b":[1,2]}`, `{}`, `{"a":12345678901234567890123}`, `{"a":12345678901234567890124}`} {
		require.False(t, submit(orchestration.Submission{IdentityByContent: true, Context: raw(other)}).Existed, other)
	}
	_, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, IdentityKey: "x", IdentityByContent: true})
	require.ErrorContains(t, err, "both")
}

func TestSubmitMany(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	tpl, other := template(t, diamond, ""), template(t, "a:", "")
	there, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, IdentityKey: "there"})
	require.NoError(t, err)
	made, err := b.SubmitMany(t.Context(), []orchestration.Submission{
		{Template: tpl, Tags: []string{"a b", `"q"`}, Context: json.RawMessage(`{"n": 1180591620717411303424}`), Initiator: "me", Priority: 3},
		{Template: other},
		{Template: tpl, IdentityKey: "there"},
		{Template: tpl, IdentityKey: "twice"},
		{Template: tpl, IdentityKey: "twice"},
	})
	require.NoError(t, err)
	require.Equal(t, there.TaskID, made[2].TaskID)
	require.Equal(t, []bool{false, false, true, false, true},
		[]bool{made[0].Existed, made[1].Existed, made[2].Existed, made[3].Existed, made[4].Existed})
	require.Equal(t, made[3].TaskID, made[4].TaskID)
	one, err := b.Task(t.Context(), made[0].TaskID)
	require.NoError(t, err)
	require.Equal(t, []string{"a b", `"q"`}, one.Tags)
	require.Equal(t, `{"n":1180591620717411303424}`, string(one.Context))
	require.Equal(t, []string{"b", "c"}, step(t, one, "d").Parents)
	require.Equal(t, "submitted", one.Transitions[0].Reason)
	for _, m := range made {
		require.Equal(t, orchestration.TaskComplete, b.rerun(t, m.TaskID).State)
	}

	_, err = b.SubmitMany(t.Context(), []orchestration.Submission{{Template: tpl}, {Template: tpl, Context: json.RawMessage("[]")}})
	require.ErrorContains(t, err, "submission 2 of 2")
	require.Zero(t, b.inState(t, orchestration.TaskPending), "nothing was written")
}

func TestTenThousandTasksInOneCall(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	made, err := b.SubmitMany(t.Context(), many(10_000, orchestration.Submission{Template: template(t, diamond, "")}))
	require.NoError(t, err)
	require.Len(t, made, 10_000)
	var tasks, steps, queued int
	require.NoError(t, b.pool.QueryRow(t.Context(), `select (select count(*) from tasker.tasks), (select count(*) from tasker.steps),
		(select count(*) from tasker.queue where ready)`).Scan(&tasks, &steps, &queued))
	require.Equal(t, []int{10_000, 40_000, 10_000}, []int{tasks, steps, queued})
}

// The task exists if the caller's transaction commits, and only then.
func TestSubmitInTheCallersTransaction(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	tpl := template(t, "a:", "")
	undone := errors.New("changed my mind")
	err := pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := b.SubmitTx(t.Context(), tx, orchestration.Submission{Template: tpl})
		require.NoError(t, err)
		return undone
	})
	require.ErrorIs(t, err, undone)
	require.Zero(t, b.inState(t, orchestration.TaskPending))
	var id int64
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		made, err := b.SubmitTx(t.Context(), tx, orchestration.Submission{Template: tpl})
		id = made.TaskID
		return err
	}))
	require.Equal(t, orchestration.TaskComplete, b.rerun(t, id).State)
}

func TestUnstorableSubmission(t *testing.T) {
	t.Parallel()
	b := engine(t, nil)
	tpl := template(t, "a:", "")
	for _, s := range []orchestration.Submission{
		{}, {Template: tpl, Tags: []string{"a\x00"}}, {Template: tpl, Initiator: "\xff"}, {Template: tpl, Context: json.RawMessage(`{"a":1,"a":2}`)},
	} {
		_, err := b.Submit(t.Context(), s)
		require.Error(t, err)
	}
}

// Text that is too long for an index is refused or cut. It does not stop the task.
func TestTextTooLongForAnIndex(t *testing.T) {
	t.Parallel()
	long := make([]byte, 8000)
	for i := range long {
		long[i] = 'a' + byte(i*i/7%26)
	}
	key := string(long)
	b := engine(t, funcs{"A": func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return nil, &orchestration.StepError{Class: "É" + key, Permanent: true}
	}})
	tpl := template(t, "a:", "")
	_, err := b.Submit(t.Context(), orchestration.Submission{Template: tpl, IdentityKey: key})
	require.ErrorContains(t, err, "IdentityKey has 8000 bytes; at most 2000 are allowed")
	_, err = b.Submit(t.Context(), orchestration.Submission{Template: tpl, IdentityKey: key[:2000]})
	require.NoError(t, err)
	d := b.run(t, tpl)
	require.Equal(t, orchestration.TaskInError, d.State)
	require.Equal(t, "É"+key, step(t, d, "a").Last().Err.Class)
	require.Len(t, step(t, d, "a").History, 1)
}
