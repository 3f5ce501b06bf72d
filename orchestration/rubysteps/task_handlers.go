package rubysteps

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// A task handler is a Ruby class with hooks, which a template names. Ruby calls them around
// the handler of a step (task_handler/hooks.rb). What only Go can do is here: it checks
// contexts against their schemas, as it does for templates.

// schemasService is the service's name in Ruby.
const schemasService = "tasker-rb's schemas"

// schemas answers for the JSON schemas of task handlers. It is served when the first task
// with a task handler is there.
type schemas struct {
	host *rubyhost.Host

	mu     sync.Mutex
	served bool
	find   *rubyhost.Method // Tasker::Host.schema_of
}

func (s *schemas) serve(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served {
		return nil
	}
	err := s.host.Serve(ctx, schemasService, answerSchema)
	if err == nil {
		s.find, err = s.host.Method(ctx, "Tasker::Host.schema_of")
	}
	s.served = err == nil
	return err
}

// answerSchema checks the context of the step that asks. The question is the schema.
func answerSchema(ctx context.Context, schema []byte) ([]byte, error) {
	x := Execution(ctx)
	if x == nil {
		return nil, errors.New("a schema is checked in a step only")
	}
	found, err := templates.CheckContext(schema, x.Context)
	if err != nil {
		return json.Marshal(map[string]string{"fault": err.Error()})
	}
	problems := make([]string, len(found))
	for i, v := range found {
		problems[i] = v.String()
	}
	return json.Marshal(map[string][]string{"problems": problems})
}

// within returns the step's handler within a task handler.
func (h handler) within(ctx context.Context, taskHandler string) (*rubyhost.Handler, error) {
	if err := h.schemas.serve(ctx); err != nil {
		return nil, err
	}
	return h.ruby.Within(ctx, taskHandler)
}

// CheckContext implements [orchestration.ContextChecker]: it asks the template's task handler
// for its schema. A class that is absent, or has none, says nothing of contexts. Where Ruby is
// not booted, the first step of the task asks.
func (h *Handlers) CheckContext(ctx context.Context, t *templates.Template, input json.RawMessage) error {
	if h.host == nil || t.TaskHandlerClass == "" {
		return nil
	}
	if err := h.schemas.serve(ctx); err != nil {
		return err
	}
	schema, err := rubyhost.Call[*string](ctx, h.schemas.find, t.TaskHandlerClass)
	var ruby *rubyhost.Error
	if errors.As(err, &ruby) && len(ruby.Backtrace) > 0 {
		err = errors.WithHintf(err, "The task handler %s was asked for its schema; it was raised at %s.", t.TaskHandlerClass, ruby.Backtrace[0])
	}
	if err != nil {
		return errors.Wrapf(err, "asking the task handler %s for its schema", t.TaskHandlerClass)
	}
	if schema == nil {
		return nil
	}
	found, err := templates.CheckContext([]byte(*schema), input)
	if err != nil {
		return errors.WithHintf(errors.Newf("%s#schema is no JSON schema: %v", t.TaskHandlerClass, err), "Correct the method, or remove it.")
	}
	if len(found) == 0 {
		return nil
	}
	return errors.WithHintf(&templates.ContextError{Template: t.ID(), Violations: found},
		"The method schema of the task handler %s says what it must be.", t.TaskHandlerClass)
}
