package orchestration_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// exact has values that a float or a sorted map would change.
const exact = `{"n":1606938044258990275541962092341162602522202993782792835301376,"f":0.10,"e":1.0e+20,"z":"<é> & é","a":[1,{"b":null}]}`

// exported runs a task whose second step fails, and exports it.
func exported(t *testing.T, more ...func(*orchestration.Submission)) *orchestration.Export {
	t.Helper()
	b := engine(t, funcs{
		"A": value(exact),
		"B": func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			return nil, &orchestration.StepError{
				Class: "Bank::Declined", Ancestors: []string{"StandardError"}, Message: "declined", Backtrace: []string{"b.rb:3"}, ErrorCode: "D1",
				Context: json.RawMessage(`{"amount":0.10}`), Permanent: x.Attempt == 2, Cause: &orchestration.StepError{Class: "IOError"},
			}
		},
	})
	s := orchestration.Submission{Template: template(t, "a:\nb: a", ""), Context: json.RawMessage(exact)}
	for _, change := range more {
		change(&s)
	}
	task, err := b.Submit(t.Context(), s)
	require.NoError(t, err)
	_, err = b.Run(t.Context(), task.TaskID)
	require.NoError(t, err)
	x, err := b.Export(t.Context(), task.TaskID)
	require.NoError(t, err)
	return x
}

// member returns the text of a value in a document, without spaces around it.
func member(t *testing.T, document []byte, path ...string) string {
	t.Helper()
	for _, key := range path {
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(document, &members), "%s in %s", key, document)
		require.Contains(t, members, key)
		document = members[key]
	}
	return string(document)
}

func compact(t *testing.T, text string) string {
	t.Helper()
	return strings.Join(strings.Fields(text), "")
}

func TestAnExportHasTheWholeTask(t *testing.T) {
	t.Parallel()
	x := exported(t, func(s *orchestration.Submission) {
		s.IdentityKey, s.Initiator, s.SourceSystem, s.Reason = "key", "ada", "shop", "an order"
		s.Tags, s.Priority = []string{"eu", "vip"}, 3
	})
	document, err := x.Encode()
	require.NoError(t, err)
	require.Equal(t, compact(t, exact), compact(t, member(t, document, "context")))
	require.Equal(t, compact(t, exact), compact(t, member(t, document, "steps", "a", "results")))
	require.Equal(t, `"tasker-rb-task/1"`, member(t, document, "format"))
	require.Equal(t, `"key"`, member(t, document, "identity_key"))

	again, err := orchestration.DecodeExport(document)
	require.NoError(t, err)
	text, err := again.Encode()
	require.NoError(t, err)
	require.Equal(t, string(document), string(text))
	require.Equal(t, x.Task.Template.Encode(), again.Task.Template.Encode())
	require.Equal(t, "key", again.IdentityKey)
	require.Equal(t, []string{"eu", "vip"}, again.Task.Tags)
	require.Equal(t, int16(3), again.Task.Priority)
	require.Equal(t, []string{"ada", "shop", "an order"}, []string{again.Task.Initiator, again.Task.SourceSystem, again.Task.Reason})

	b := step(t, again.Task, "b")
	require.Equal(t, orchestration.StepInError, b.State)
	require.Equal(t, 2, b.Attempts)
	require.Len(t, b.History, 2)
	last := b.Last()
	require.Equal(t, []string{"error", "Bank::Declined", "declined", "D1", "b.rb:3", "IOError"},
		[]string{last.Outcome, last.Err.Class, last.Err.Message, last.Err.ErrorCode, last.Err.Backtrace[0], last.Err.Cause.Class})
	require.True(t, last.Err.Permanent)
	require.Contains(t, string(last.Err.Context), "0.10")
	require.False(t, last.StartedAt.IsZero())
	require.True(t, step(t, x.Task, "b").Last().EndedAt.Equal(last.EndedAt))
}

func TestAnExportOfALargeResult(t *testing.T) {
	t.Parallel()
	large := `"` + strings.Repeat("x", 16<<20) + `"`
	b := engine(t, funcs{"A": value(large)})
	d := b.run(t, template(t, "a:", ""))
	x, err := b.Export(t.Context(), d.TaskID)
	require.NoError(t, err)
	x, err = x.Redact("task_id")
	require.ErrorContains(t, err, "cannot be redacted")
	require.Nil(t, x)
	x, err = b.Export(t.Context(), d.TaskID)
	require.NoError(t, err)
	document, err := x.Encode()
	require.NoError(t, err)
	x, err = orchestration.DecodeExport(document)
	require.NoError(t, err)
	require.True(t, large == string(step(t, x.Task, "a").Results()))
}

// Results that are null, resolved by an operator, or of a task of the past.
func TestAnExportOfOtherStates(t *testing.T) {
	t.Parallel()
	b := engine(t, funcs{"A": value("null"), "B": failsWith("X", "m")})
	d := b.run(t, template(t, "a:\nb: a\nc: b", ""))
	require.NoError(t, b.ResolveStep(t.Context(), d.TaskID, "b", json.RawMessage(`{"by":"hand"}`), orchestration.By{Actor: "ada"}))
	for range 2 {
		x, err := b.Export(t.Context(), d.TaskID)
		require.NoError(t, err)
		document, err := x.Encode()
		require.NoError(t, err)
		x, err = orchestration.DecodeExport(document)
		require.NoError(t, err)
		require.Equal(t, "null", string(step(t, x.Task, "a").Results()))
		require.Equal(t, `{"by":"hand"}`, compact(t, string(step(t, x.Task, "b").Results())))
		require.Equal(t, "resolved_manually", step(t, x.Task, "b").Last().Outcome)

		r, err := b.Try(t.Context(), orchestration.TryOptions{Export: x, Step: "b"})
		require.NoError(t, err)
		require.Equal(t, 1, r.Recorded.Number, "what the handler did, not what the operator gave")
		require.Empty(t, r.Differences)
		r, err = b.Try(t.Context(), orchestration.TryOptions{Export: x, Step: "c"})
		require.NoError(t, err)
		require.Equal(t, 1, r.Attempt)
		require.Equal(t, x.Task.State == orchestration.TaskComplete, r.Recorded != nil)
		_, err = b.Run(t.Context(), d.TaskID)
		require.NoError(t, err)
	}
}

func TestAnExportOfNoTask(t *testing.T) {
	t.Parallel()
	_, err := engine(t, nil).Export(t.Context(), 1_000_000_000)
	require.ErrorIs(t, err, orchestration.ErrTaskNotFound)
	require.NotEmpty(t, errors.FlattenHints(err))
}

func TestRedact(t *testing.T) {
	t.Parallel()
	x := exported(t, func(s *orchestration.Submission) {
		s.Context = json.RawMessage(`{"card":{"number":"4111","cvc":123,"a key.":1},"items":[{"email":"a"},{"email":"b","n":1.50},7]}`)
	})
	for _, c := range []struct{ path, context string }{
		{"context.card.number", `{"card":{"number":"[redacted]","cvc":123,"akey.":1},"items":[{"email":"a"},{"email":"b","n":1.50},7]}`},
		{"$.context.items[*].email", `{"card":{"number":"4111","cvc":123,"akey.":1},"items":[{"email":"[redacted]"},{"email":"[redacted]","n":1.50},7]}`},
		{"context.items[1]", `{"card":{"number":"4111","cvc":123,"akey.":1},"items":[{"email":"a"},"[redacted]",7]}`},
		{`context.card["a key."]`, `{"card":{"number":"4111","cvc":123,"akey.":"[redacted]"},"items":[{"email":"a"},{"email":"b","n":1.50},7]}`},
		{"context.*", `{"card":"[redacted]","items":"[redacted]"}`},
	} {
		redacted, err := x.Redact(c.path, "context.card.number")
		require.NoError(t, err, c.path)
		if c.path == "context.card.number" {
			require.Equal(t, []string{"context.card.number"}, redacted.Redacted)
		} else {
			require.Equal(t, []string{c.path, "context.card.number"}, redacted.Redacted)
		}
		redacted, err = x.Redact(c.path)
		require.NoError(t, err, c.path)
		require.Equal(t, c.context, compact(t, string(redacted.Task.Context)))
	}
	redacted, err := x.Redact("steps.a.results.a[1].b", "steps.*.attempts[*].error.message")
	require.NoError(t, err)
	require.Contains(t, compact(t, string(step(t, redacted.Task, "a").Results())), `"a":[1,{"b":"[redacted]"}]`)
	require.Equal(t, "[redacted]", step(t, redacted.Task, "b").Last().Err.Message)
	document, err := redacted.Encode()
	require.NoError(t, err)
	again, err := orchestration.DecodeExport(document)
	require.NoError(t, err)
	require.Equal(t, []string{"steps.a.results.a[1].b", "steps.*.attempts[*].error.message"}, again.Redacted)
}

func TestARedactedPathThatLeadsToNothing(t *testing.T) {
	t.Parallel()
	x := exported(t, func(s *orchestration.Submission) {
		s.Context = json.RawMessage(`{"card":{"number":"4111","cvc":123},"items":[{"email":"a"}]}`)
	})
	for _, c := range []struct{ path, cause, hint string }{
		{"context.card.numbr", `context.card.numbr leads to nothing: context.card has no "numbr"`, `Did you mean "number"?`},
		{"context.card.holder", `context.card has no "holder"`, "It has number, cvc."},
		{"contxt.card", `the export has no "contxt"`, `Did you mean "context"?`},
		{"steps.other.results", `steps has no "other"`, "It has a, b."},
		{"steps.b.results", `steps.b has no "results"`, "It has step_id"},
		{"context.items[1]", "context.items has no [1]", "It is a list of 1"},
		{"context.items.email", `context.items has no "email"`, "[*] are all"},
		{"context.items[*].mail", `context.items[*] has no "mail"`, `Did you mean "email"?`},
		{"context.card.cvc.x", `context.card.cvc has no "x"`, "There is nothing inside of it."},
		{"context..card", "has an empty part", "Write it like"},
		{"context.", "has an empty part", "Write it like"},
		{"context[x]", "has a part in brackets that is none: [x]", "Write it like"},
		{"$", "is empty", "Write it like"},
		{"context", "cannot be redacted", "context.*"},
	} {
		_, err := x.Redact("context.card.number", c.path)
		require.ErrorContains(t, err, c.cause)
		require.Contains(t, errors.FlattenHints(err), c.hint, c.path)
		if strings.Contains(c.cause, " has no ") {
			require.ErrorIs(t, err, orchestration.ErrNothingRedacted)
		}
	}
}

func TestDocumentsThatAreNoExport(t *testing.T) {
	t.Parallel()
	document, err := exported(t).Encode()
	require.NoError(t, err)
	change := func(old, new string) string { return strings.Replace(string(document), old, new, 1) }
	for _, c := range []struct{ document, cause string }{
		{"", "it is no export of a task: "},
		{"name: order\n", "it is no export of a task: "},
		{`{"task_id": 1}`, "does not have the format tasker-rb-task/1"},
		{change("tasker-rb-task/1", "tasker-rb-task/2"), "its format is tasker-rb-task/2, and this program reads tasker-rb-task/1"},
		{change(`"name": "test"`, `"nam": "test"`), "the template in the export cannot be read"},
		{change(`    "b": {`, `    "c": {`), `does not have the step "b"`},
		{change(`"attempts": [`, `"attempts": 1, "x": [`), "the export is damaged"},
	} {
		_, err := orchestration.DecodeExport([]byte(c.document))
		require.ErrorIs(t, err, orchestration.ErrNoExport)
		require.ErrorContains(t, err, c.cause)
		require.NotEmpty(t, errors.FlattenHints(err))
	}
}
