package rubyhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// someDocuments are those of a task with one other step.
type someDocuments struct{}

func (someDocuments) Heads() json.RawMessage      { return json.RawMessage(`[{"name":"other"}]`) }
func (someDocuments) Head(string) json.RawMessage { return json.RawMessage(`{"name":"other"}`) }
func (someDocuments) Result(context.Context, string) (json.RawMessage, error) {
	return json.RawMessage("7"), nil
}

func init() {
	children["documents"] = func() {
		ctx := context.Background()
		host := mustBoot(rubyhost.Options{Threads: 1})
		_, err := host.Eval(ctx, `class Reads < Tasker::StepHandler::Base
  def process(_task, sequence, _step) = [sequence["other"].results, Tasker::Host.ask("documents", "")]
end; nil`, "reads.rb")
		must(err)
		over, cancel := context.WithCancel(ctx)
		cancel()
		_, err = host.Handler(over, "Reads")
		fmt.Println("over:", errors.Is(err, context.Canceled))
		err = host.Serve(ctx, "documents", func(context.Context, []byte) ([]byte, error) { return []byte("the user's own"), nil })
		if err == nil {
			var handler *rubyhost.Handler
			if handler, err = host.Handler(ctx, "Reads"); err == nil {
				var out json.RawMessage
				out, err = handler.Run(ctx, &rubyhost.Step{Step: json.RawMessage(`{"name":"own"}`), ByNeed: someDocuments{}})
				fmt.Printf("read: %s\n", out)
			}
		}
		fmt.Println("error:", err)
	}
}

// A handler that was asked for in vain is found later, and a service that the user calls
// documents and the documents of steps do not know each other.
func TestDocumentsAreServedFromTheBootOn(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "documents")
	require.NoError(t, err, out)
	require.Contains(t, out, "over: true\nread: [7,\"the user's own\"]\nerror: <nil>\n")
}
