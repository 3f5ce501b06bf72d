package rubyhost_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// Inside the host a Context is made in C; it is the same as the one in Ruby.
func TestContextIsIndifferentAllTheWayDown(t *testing.T) {
	h := processBody(t, `
		c = task.context
		inner = c[:items].first
		c2 = Tasker::Context.new("order_id" => 42, "items" => [{ "sku" => "A", "price" => 1.5 }])
		{
			classes: [c, inner].map { |x| x.class.name },
			hash: c.is_a?(Hash), same: [c[:order_id], c["order_id"], c.dig(:items, 0, :sku), inner["sku"], c.fetch(:order_id), c.key?(:items)],
			equal: c == c2, plain: c.to_h.class.name, plain_inside: c.to_h["items"][0].class.name,
			merged: c.merge(order_id: 7)["order_id"], still: c[:order_id],
			splat: ->(**kw) { kw.keys.inspect }.call(**c.symbolize_keys),
			match: (case c; in { order_id: Integer => id } then id; end),
			config: [step.handler_config[:url], step.handler_config.class.name],
		}`)
	out, err := run(t, h)
	require.NoError(t, err)
	require.JSONEq(t, `{"classes":["Tasker::Context","Tasker::Context"],"hash":true,"same":[42,42,"A","A",42,true],"equal":true,
		"plain":"Hash","plain_inside":"Hash","merged":7,"still":42,"splat":"[:order_id, :items]","match":42,
		"config":["http://localhost","Tasker::Context"]}`, out)
}

// The context is the handler's own copy, at every call.
func TestContextIsTheHandlersOwn(t *testing.T) {
	h := processBody(t, `task.context[:items] << { "sku" => "B" }; task.context[:order_id] += 1; task.context`)
	for range 3 {
		out, err := run(t, h)
		require.NoError(t, err)
		require.JSONEq(t, `{"order_id":43,"items":[{"sku":"A","price":1.5},{"sku":"B"}]}`, out)
		require.True(t, json.Valid([]byte(out)))
	}
}
