package rubyhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func init() {
	children["methods"] = func() {
		ctx := context.Background()
		host := mustBoot(rubyhost.Options{Threads: 1})
		_, err := host.Eval(ctx, `require "tasker/compat/tasker_core"
class Pays < TaskerCore::StepHandler::Base
  def call(_context) = "called"
  def refund(context) = success(result: "refunded #{context.get_input("cents")}")
end
extend TaskerCore::StepHandler::Functional
step_handler("shop.greet", inputs: [:cents]) { |cents:, context:| { cents: cents, step: context.step_name } }
nil`, "pays.rb")
		must(err)
		run := func(class, head string) {
			handler, err := host.Handler(ctx, class)
			if err != nil {
				fmt.Println(class, "error:", err)
				return
			}
			out, err := handler.Run(ctx, &rubyhost.Step{Context: json.RawMessage(`{"cents":5}`), Step: json.RawMessage(head)})
			fmt.Println(class, string(out), err)
		}
		run("Pays", `{"name":"a"}`)
		run("Pays", `{"name":"a","description":"handler_method","handler_method":"refund"}`)
		run("Pays#refund", `{"name":"a"}`)
		run("Pays#refnud", `{"name":"a"}`)
		run("shop.greet", `{"name":"a"}`)
		run("shop.great", `{"name":"a"}`)
	}
}

// A template may name the method of a handler, and a handler may have a name of its own.
func TestMethodsAndNamesOfHandlers(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "methods")
	require.NoError(t, err, out)
	require.Contains(t, out, "Pays \"called\" <nil>\nPays \"refunded 5\" <nil>\nPays#refund \"refunded 5\" <nil>\n")
	require.Regexp(t, `Pays#refnud error: .*Pays \(pays\.rb:2\) has no public method refnud.*did you mean refund\?`, out)
	require.Contains(t, out, `shop.greet {"cents":5,"step":"a"} <nil>`)
	require.Regexp(t, `shop\.great error: .*did you mean "shop\.greet"\?`, out)
}
