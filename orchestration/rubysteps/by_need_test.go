package rubysteps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// wide is a task whose last step depends on n others, each with a result. The last
// step's handler is a Ruby class with this body.
func wide(t *testing.T, class, body string, n int, results func(i int) json.RawMessage) *orchestration.StepDetail {
	t.Helper()
	_, err := host.Eval(t.Context(), "class ::"+class+" < Tasker::StepHandler::Base\ndef process(task, sequence, step)\n"+body+"\nend\nend; nil", class+".rb")
	require.NoError(t, err)
	var yaml, parents strings.Builder
	yaml.WriteString("name: wide\nstep_templates:\n  - {name: root, handler_class: Part}\n")
	for i := range n {
		fmt.Fprintf(&yaml, "  - {name: part %d, handler_class: Part, depends_on_step: root}\n", i)
		fmt.Fprintf(&parents, "part %d,", i)
	}
	fmt.Fprintf(&yaml, "  - {name: last, handler_class: %s, depends_on_steps: [%s], default_retry_limit: 1}\n  - {name: beside, handler_class: Part}\n", class, parents.String())
	part := orchestration.StepHandlerFunc(func(_ context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		var i int
		_, _ = fmt.Sscanf(x.StepName, "part %d", &i)
		return results(i), nil
	})
	d := runTemplate(t, yaml.String(), map[string]orchestration.StepHandler{"Part": part})
	for i := range d.Steps {
		if d.Steps[i].Name == "last" {
			return &d.Steps[i]
		}
	}
	return nil
}

// A handler sees the same documents, whether they are sent with the step or asked for.
func TestDocumentsByNeed(t *testing.T) {
	t.Parallel()
	body := `{
		results: [0, 1, n - 1].map { |i| sequence["part #{i}"].results },
		root: [sequence["root"].results, sequence["root"].children.size, sequence["root"].status],
		beside: [sequence["beside"].results, sequence["beside"].name],
		nothing: [sequence["nowhere"], sequence.get_results("nowhere"), sequence["part 0".encode("UTF-16LE")]],
		parents: step.parents.map { |p| p.results.is_a?(Hash) && p.complete? }.tally.transform_keys(&:to_s),
		same: sequence["part 0"].equal?(sequence["part 0"]), attempts: sequence["part 1"].attempts,
		size: sequence.size, names: sequence.map(&:name).sort.first(2), own: [sequence["last"].equal?(step), step.status],
		later: Thread.new { sequence["part 2"].results }.value,
		nil_result: sequence["part 3"].results }`
	for _, n := range []int{5, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := wide(t, fmt.Sprintf("Wide%d", n), fmt.Sprintf("n = %d\n", n)+body, n, func(i int) json.RawMessage {
				if i == 3 {
					return json.RawMessage("null")
				}
				return json.RawMessage(fmt.Sprintf(`{"n": 1606938044258990275541962092341162602522202993782792835301%03d}`, i))
			})
			require.Equal(t, orchestration.StepComplete, s.State, s.Last().Err)
			big := func(i int) string {
				return fmt.Sprintf(`{"n":1606938044258990275541962092341162602522202993782792835301%03d}`, i)
			}
			require.JSONEq(t, fmt.Sprintf(`{"results":[%s,%s,%s],"root":[{"n":1606938044258990275541962092341162602522202993782792835301000},%d,"complete"],
				"beside":[{},"beside"],"nothing":[null,null,null],"parents":{"true":%d,"false":1},"same":true,"attempts":1,"size":%d,
				"names":["beside","last"],"own":[true,"in_progress"],"later":%s,"nil_result":null}`,
				big(0), big(1), big(n-1), n, n-1, n+3, big(2)), string(s.Results()))
		})
	}
}

// Large results are asked for, too, in a task of a few steps.
func TestLargeResultsByNeed(t *testing.T) {
	t.Parallel()
	s := wide(t, "WideLarge", `(0...4).map { |i| sequence["part #{i}"].results["text"].size }`, 4, func(i int) json.RawMessage {
		return json.RawMessage(`{"text": "` + strings.Repeat("x", 30_000*(i+1)) + `"}`)
	})
	require.JSONEq(t, `[30000,60000,90000,120000]`, string(s.Results()), s.Last().Err)
}

// Those that are only in the database are read when the handler asks for them, once.
func TestResultsInTheDatabaseByNeed(t *testing.T) {
	t.Parallel()
	s := wide(t, "WideHuge", `first, second = sequence["part 0"].results["text"], sequence.get_results("part 1")["text"]
		[first.size, second.encoding.name, second.valid_encoding?, sequence["part 0"].results["text"].equal?(first), sequence["part 1"].results.keys]`,
		3, func(i int) json.RawMessage {
			return json.RawMessage(`{"text": "` + strings.Repeat("ü", (5-i)<<effort.Of(19, 20)) + `"}`)
		})
	require.JSONEq(t, fmt.Sprintf(`[%d,"UTF-8",true,true,["text"]]`, 5<<effort.Of(19, 20)), string(s.Results()), s.Last().Err)
}

// A read that fails is an exception in the handler.
func TestResultsThatAreGone(t *testing.T) {
	t.Parallel()
	_, err := host.Eval(t.Context(), `class ::ReadsGone < Tasker::StepHandler::Base
  def process(_task, sequence, _step)
    sequence["part"].results
  rescue Tasker::Error => e
    [e.class.name, e.message]
  end
end; nil`, "reads_gone.rb")
	require.NoError(t, err)
	part := orchestration.StepHandlerFunc(func(context.Context, *orchestration.StepExecution) (json.RawMessage, error) {
		return json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`), nil
	})
	erase := orchestration.StepHandlerFunc(func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		tx, err := x.Tx(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "delete from tasker.attempts")
		return nil, err
	})
	d := runTemplate(t, `
name: gone
step_templates:
  - {name: part, handler_class: Part}
  - {name: erase, handler_class: Erase, depends_on_step: part}
  - {name: reads, handler_class: ReadsGone, depends_on_step: erase}
`, map[string]orchestration.StepHandler{"Part": part, "Erase": erase})
	require.JSONEq(t, `["Tasker::Host::ServiceError",
		"reading the results of part: the attempt has lost its claim on the step, or the results are not in the database any more"]`,
		string(d.Steps[2].Results()), d.Steps[2].Last().Err)
}

// What was not read while the step ran cannot be read later.
func TestDocumentsByNeedEndWithTheStep(t *testing.T) {
	t.Parallel()
	wide(t, "WideKept", `$kept_sequence = sequence; sequence["part 0"].results`, 50, func(int) json.RawMessage { return json.RawMessage("{}") })
	out, err := host.Eval(t.Context(), `[$kept_sequence["part 0"].results, ($kept_sequence["part 40"] rescue $!.message), ($kept_sequence.size rescue $!.message)]`, "kept.rb")
	require.NoError(t, err)
	require.JSONEq(t, `[{},"the step has ended; read what you need before it does","the step has ended; read what you need before it does"]`, string(out))
}

// A thread of another step, such as one of a pool that the process shares, reads the
// documents of the step whose sequence it is given, and not those of its own step.
func TestDocumentsByNeedAreThoseOfTheSequence(t *testing.T) {
	t.Parallel()
	_, err := host.Eval(t.Context(), `$pool_works, $pool_begun, $pool_over = Queue.new, Queue.new, Queue.new; nil`, "pool.rb")
	require.NoError(t, err)
	result := func(text string) func(int) json.RawMessage {
		return func(int) json.RawMessage { return json.RawMessage(`"` + text + `"`) }
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wide(t, "WideOwner", `Thread.new { while (work, out = $pool_works.pop) do out << (work.call rescue $!.message) end }
			$pool_begun << true
			$pool_over.pop`, 50, result("of the thread's step"))
	}()
	s := wide(t, "WideGuest", `$pool_begun.pop
		$pool_works << [-> { [sequence["part 40"].results, sequence.size] }, out = Queue.new]
		out.pop.tap { $pool_over << true }`, 50, result("of the sequence's step"))
	<-ended
	require.JSONEq(t, `["of the sequence's step",53]`, string(s.Results()), s.Last().Err)
}
