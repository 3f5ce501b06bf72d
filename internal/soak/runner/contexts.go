package runner

import (
	"context"
	"encoding/json"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// contexts gives tasks their contexts.
type contexts struct {
	given soak.Contexts
	take  *rubyhost.Method // of a block in Ruby
	next  int64
}

func openContexts(ctx context.Context, host *rubyhost.Host, given soak.Contexts) (c contexts, err error) {
	c.given = given
	if given.File == "" {
		return c, nil
	}
	if err := host.Require(ctx, "tasker/host/contexts"); err != nil {
		return c, err
	}
	open, err := host.Method(ctx, "Tasker::Host::Contexts.open")
	if err != nil {
		return c, err
	}
	if _, err := open.Call(ctx, given.File); err != nil {
		return c, errors.WithHintf(err, "%s holds a block, such as ->(n) { { order_id: n } }.", given.File)
	}
	c.take, err = host.Method(ctx, "Tasker::Host::Contexts.take")
	return c, err
}

// atOnce is how many contexts one call of Ruby makes. The bridge keeps the buffers of large
// answers, so that answers larger than those of the handlers would look like growth.
const atOnce = 10

// ask has the block make the contexts of some tasks. from is the number of the first.
func (c *contexts) ask(ctx context.Context, list []work, from int64) error {
	names := make([]string, len(list))
	for i, w := range list {
		names[i] = w.template.Namespace + "/" + w.template.Name
	}
	made, err := rubyhost.Call[[]json.RawMessage](ctx, c.take, from, names)
	if err != nil {
		return errors.WithHintf(err, "The block of %s gets the number of a task, from 0, and the name of its template, and returns a Hash.", c.given.File)
	}
	for i := range list {
		list[i].context = made[i]
	}
	return nil
}

// fill sets the contexts of the tasks.
func (c *contexts) fill(ctx context.Context, list []work) error {
	from := c.next
	c.next += int64(len(list))
	switch {
	case c.take != nil:
		for i := 0; i < len(list); i += atOnce {
			if err := c.ask(ctx, list[i:min(i+atOnce, len(list))], from+int64(i)); err != nil {
				return err
			}
		}
	case len(c.given.Lines) > 0:
		for i := range list {
			list[i].context = c.given.Lines[(from+int64(i))%int64(len(c.given.Lines))]
		}
	default:
		for i := range list {
			list[i].context = c.given.Same
		}
	}
	for i := range list { // the engine does it too, but without it nobody would
		checked, err := list[i].template.ValidateContext(list[i].context)
		if err != nil {
			return err
		}
		list[i].context = checked
	}
	return nil
}
