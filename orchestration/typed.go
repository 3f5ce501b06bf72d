package orchestration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Handle makes a function a [StepHandler]. In is what the task's context is decoded to,
// and Out becomes the step's results, both by encoding/json. Numbers that are decoded to an
// interface are a [json.Number], so they keep every digit.
//
//	type Order struct{ Cents int64 }
//
//	func charge(ctx context.Context, in Order, x *orchestration.StepExecution) (Receipt, error)
//
//	Handlers{ByClass: map[string]StepHandler{"Charge": Handle(charge)}}
//
// A context that does not fit In fails the step permanently, with the place in the
// context. So do results that are not JSON. [ResultOf] reads the results of other steps.
func Handle[In, Out any](f func(ctx context.Context, in In, x *StepExecution) (Out, error)) StepHandler {
	return StepHandlerFunc(func(ctx context.Context, x *StepExecution) (json.RawMessage, error) {
		var in In
		if err := decodeExactly(x.Context, &in); err != nil {
			return nil, misfit("the task's context", x.Context, reflect.TypeFor[In](), err)
		}
		out, err := f(ctx, in, x)
		if err != nil {
			return nil, err
		}
		return encodePlainly(out)
	})
}

// ResultOf returns the results of an ancestor of the step, decoded to T as [Handle] decodes
// the context. A step that is no ancestor, and results that do not fit T, are permanent
// errors. Results that are null fit a T that has a nil.
func ResultOf[T any](ctx context.Context, x *StepExecution, step string) (T, error) {
	var value T
	if x.seen != nil && !x.seen.template.DependsOn(x.StepName, step) {
		return value, &StepError{Class: "Tasker::UnknownStep", Permanent: true,
			Message: fmt.Sprintf("step %s reads the results of %s, and does not depend on it", x.StepName, step)}
	}
	document, err := x.Result(ctx, step)
	if err != nil {
		return value, err
	}
	if len(document) == 0 {
		document = json.RawMessage("null")
	}
	t := reflect.TypeFor[T]()
	if bytes.Equal(bytes.TrimSpace(document), []byte("null")) && !hasNil(t) {
		return value, misfit("the result of step "+step, document, t, fmt.Errorf("it is null"))
	}
	if err := decodeExactly(document, &value); err != nil {
		return value, misfit("the result of step "+step, document, t, err)
	}
	return value, nil
}

func hasNil(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return true
	default:
		return false
	}
}

// decodeExactly decodes JSON, numbers for interfaces with every digit.
func decodeExactly(document json.RawMessage, to any) error {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	return d.Decode(to)
}

// encodePlainly encodes a value as JSON, and leaves <, > and & alone.
func encodePlainly(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, &StepError{Class: "Tasker::UnrepresentableError", Permanent: true, ErrorCode: "UNREPRESENTABLE_RESULT",
			Message: fmt.Sprintf("the results of type %T are not JSON: %s", value, jsonProblem(err)), Err: err}
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// misfit is the error for a document that does not fit a type.
func misfit(what string, document json.RawMessage, t reflect.Type, err error) *StepError {
	place, inner := whereMisfit(document, t, err)
	message := what + " does not fit " + t.String()
	if place != "" {
		message += " at " + place
	}
	return &StepError{Class: "Tasker::TypeMismatch", Permanent: true, Message: message + ": " + jsonProblem(inner), Err: err}
}

// jsonProblem is the text of an error of encoding/json.
func jsonProblem(err error) string { return strings.TrimPrefix(err.Error(), "json: ") }

// whereMisfit returns the place in the document that does not fit the type, and the error
// there. encoding/json itself names no place for types that decode themselves, and no index.
func whereMisfit(document json.RawMessage, t reflect.Type, err error) (string, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	try := func(part json.RawMessage, t reflect.Type, step string) (string, error) {
		inner := decodeExactly(part, reflect.New(t).Interface())
		if inner == nil {
			return "", nil
		}
		place, inner := whereMisfit(part, t, inner)
		if place != "" && place[0] != '[' {
			place = "." + place
		}
		return step + place, inner
	}
	switch t.Kind() {
	case reflect.Struct:
		var members map[string]json.RawMessage
		if json.Unmarshal(document, &members) != nil {
			return "", err
		}
		for _, field := range reflect.VisibleFields(t) {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" {
				name = field.Name
			}
			if !field.IsExported() || field.Anonymous || strings.Contains(options, "string") {
				continue
			}
			for member, part := range members {
				if !strings.EqualFold(member, name) {
					continue
				}
				if place, inner := try(part, field.Type, member); inner != nil {
					return place, inner
				}
			}
		}
	case reflect.Map:
		var members map[string]json.RawMessage
		if json.Unmarshal(document, &members) != nil {
			return "", err
		}
		for member, part := range members {
			if place, inner := try(part, t.Elem(), member); inner != nil {
				return place, inner
			}
		}
	case reflect.Slice, reflect.Array:
		var elements []json.RawMessage
		if json.Unmarshal(document, &elements) != nil {
			return "", err
		}
		for i, part := range elements {
			if place, inner := try(part, t.Elem(), fmt.Sprintf("[%d]", i)); inner != nil {
				return place, inner
			}
		}
	}
	return "", err
}
