package rubysteps_test

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// The handlers of docs/transactions.md do what the text there says.
func TestTheHandlersOfTheGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/transactions.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```ruby\n([^`]*class \\w+ < Tasker::StepHandler.*?)```").FindAllStringSubmatch(string(guide), -1)
	require.GreaterOrEqual(t, len(blocks), 3)

	d := newDatabase(t)
	_, err = d.pool.Exec(t.Context(), `
		create table accounts (id int primary key, balance bigint not null);
		insert into accounts values (1, 100);
		create table orders (id bigserial primary key, number text not null unique);
		create table lines (id bigserial primary key, order_id bigint not null references orders, sku text, pieces int)`)
	require.NoError(t, err)
	eval := func(source string) string {
		out, err := host.Eval(t.Context(), source, "transactions.md")
		require.NoError(t, err)
		return string(out)
	}
	eval(`module ::Mailer; class << self; def sent = (@sent ||= []); def charged(id) = sent << id; def confirmation(order) = sent << (order.is_a?(Integer) ? order : order.number); end; end; nil`)

	for i, c := range []struct {
		context, results, sent string
		state                  orchestration.StepState
		rows                   string // of the tables afterwards
	}{
		{`{"account_id": 1, "amount": 30}`, `{"charged":30}`, `[1]`, orchestration.StepComplete, `[70,0,0]`},
		{`{"number": "s", "lines": [{"sku": "a", "pieces": 1}, {"sku": "b", "pieces": 2}]}`, `{"order_id":1}`, `[1]`, orchestration.StepComplete, `[70,1,2]`},
		{`{"number": "r", "lines": [{"sku": "c", "pieces": 3}]}`, `{"order_id":2}`, `["r"]`, orchestration.StepComplete, `[70,2,3]`},
		{`{"number": "r", "lines": []}`, ``, `[]`, orchestration.StepInError, `[70,2,3]`}, // the number is taken
	} {
		if i < 3 {
			eval(blocks[i][1] + "\nnil")
		}
		class := regexp.MustCompile(`class (\w+) < Tasker::StepHandler`).FindStringSubmatch(blocks[min(i, 2)][1])[1]
		template, err := templates.Parse([]byte("name: guide\nversion: 1.0."+string(rune('0'+i))+
			"\nstep_templates:\n  - {name: only, handler_class: "+class+", default_retry_limit: 1}\n"), "t.yaml")
		require.NoError(t, err)
		s, err := d.engine.Submit(t.Context(), orchestration.Submission{Template: template, Context: json.RawMessage(c.context)})
		require.NoError(t, err)
		_, err = d.engine.Run(t.Context(), s.TaskID)
		require.NoError(t, err)
		task, err := d.engine.Task(t.Context(), s.TaskID)
		require.NoError(t, err)
		step := task.Steps[0]
		require.Equal(t, c.state, step.State, "%+v", step.Last().Err)
		if c.results != "" {
			require.JSONEq(t, c.results, string(step.Results()))
		}
		require.JSONEq(t, c.sent, eval("Mailer.sent.dup.tap { Mailer.sent.clear }"))
		var rows string
		require.NoError(t, d.pool.QueryRow(t.Context(), `select json_build_array((select balance from accounts), (select count(*) from orders),
			(select count(*) from lines))::text`).Scan(&rows))
		require.JSONEq(t, c.rows, rows)
	}
	eval("ActiveRecord::Base.remove_connection; nil")
}
