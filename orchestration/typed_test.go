package orchestration_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

type typedItem struct {
	Price int64     `json:"price"`
	At    time.Time `json:"at"`
}

type typedOrder struct {
	ID    any         `json:"id"`
	Items []typedItem `json:"items"`
}

func handleTyped(t *testing.T, document string) (json.RawMessage, error) {
	t.Helper()
	h := orchestration.Handle(func(_ context.Context, in typedOrder, _ *orchestration.StepExecution) (typedOrder, error) {
		return in, nil
	})
	return h.HandleStep(t.Context(), &orchestration.StepExecution{Context: json.RawMessage(document)})
}

func TestTypedHandlersKeepEveryDigit(t *testing.T) {
	t.Parallel()
	results, err := handleTyped(t, `{"id": 123456789012345678901234567890, "items": [{"price": 9007199254740993, "at": "2030-01-01T00:00:00Z"}]}`)
	require.NoError(t, err)
	require.JSONEq(t, `{"id": 123456789012345678901234567890, "items": [{"price": 9007199254740993, "at": "2030-01-01T00:00:00Z"}]}`, string(results))
	require.Contains(t, string(results), `"id":123456789012345678901234567890,`)
	require.Contains(t, string(results), `"price":9007199254740993,`)
}

func TestTypedHandlersNameThePlaceThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for document, place := range map[string]string{
		`{"items": [{"price": 1}, {"price": "much"}]}`:                      "at items[1].price: cannot unmarshal string",
		`{"items": [{"at": "tomorrow"}]}`:                                   "at items[0].at: parsing time",
		`{"items": {"price": 1}}`:                                           "at items: cannot unmarshal object",
		`{"items": [{"price": 1.5}]}`:                                       "at items[0].price: cannot unmarshal number 1.5",
		`{"items": [{"price": 92233720368547758080, "at": "2030-01-01"} ]}`: "at items[0].price: cannot unmarshal number 92233720368547758080",
	} {
		_, err := handleTyped(t, document)
		var s *orchestration.StepError
		require.ErrorAs(t, err, &s)
		require.True(t, s.Permanent)
		require.Equal(t, "Tasker::TypeMismatch", s.Class)
		require.Contains(t, s.Message, "the task's context does not fit orchestration_test.typedOrder "+place)
	}
}

func TestTypedResultsThatAreNoJSONFailForGood(t *testing.T) {
	t.Parallel()
	h := orchestration.Handle(func(context.Context, struct{}, *orchestration.StepExecution) (map[string]any, error) {
		return map[string]any{"f": func() {}}, nil
	})
	_, err := h.HandleStep(t.Context(), &orchestration.StepExecution{Context: json.RawMessage("{}")})
	var s *orchestration.StepError
	require.ErrorAs(t, err, &s)
	require.True(t, s.Permanent)
	require.Equal(t, "the results of type map[string]interface {} are not JSON: unsupported type: func()", s.Message)
}

// A handler reads the results of an ancestor by type. A step that it does not depend on, a
// null, and results of another shape are errors that end the step.
func TestTypedResultsOfOtherSteps(t *testing.T) {
	t.Parallel()
	read := func(step string) orchestration.StepHandlerFunc {
		return func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			v, err := orchestration.ResultOf[int](ctx, x, step)
			if err != nil {
				return nil, err
			}
			return json.Marshal(v)
		}
	}
	b := engine(t, funcs{"Good": value("7"), "Nothing": value("null"), "Text": value(`"x"`),
		"B": read("good"), "C": read("nothing"), "D": read("text"), "E": read("good"),
		"F": func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
			v, err := orchestration.ResultOf[*int](ctx, x, "nothing")
			if v != nil {
				return nil, &orchestration.StepError{Class: "NotNil", Permanent: true}
			}
			return nil, err
		}})
	d := b.run(t, template(t, "good:\nnothing:\ntext:\nb: good\nc: nothing\nd: text\ne: text\nf: nothing", "default_retry_limit: 3"))
	require.Equal(t, "7", string(step(t, d, "b").Results()))
	for name, message := range map[string]string{
		"c": "the result of step nothing does not fit int: it is null",
		"d": "the result of step text does not fit int: cannot unmarshal string into Go value of type int",
		"e": "step e reads the results of good, and does not depend on it",
	} {
		require.Equal(t, message, step(t, d, name).Last().Err.Message)
		require.Len(t, step(t, d, name).History, 1, name)
	}
	require.Equal(t, orchestration.StepComplete, step(t, d, "f").State)
}
