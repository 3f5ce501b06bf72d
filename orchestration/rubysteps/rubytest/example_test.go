package rubytest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps/rubytest"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// A program that runs Ruby suites by itself, as `tasker-rb test` does.
func Example() {
	ctx := context.Background()
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	migrate(ctx, server.URL())
	host, err := rubyhost.Boot(rubyhost.Options{Threads: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()
	bed, err := testbed.Open(ctx, testbed.Config{URL: server.URL(), Engine: orchestration.Config{Handlers: rubysteps.New(host)}})
	if err != nil {
		log.Fatal(err)
	}
	defer bed.Close()
	folder := templateFolder(`
name: greeting
step_templates:
  - {name: greet, handler_class: Greet}
`)
	defer os.RemoveAll(folder)
	if err := rubytest.Serve(ctx, host, rubytest.Config{Bed: bed, Templates: []string{folder}}); err != nil {
		log.Fatal(err)
	}

	out, err := host.Eval(ctx, `
		require "minitest"
		require "tasker/testing"
		class Greet
			def process(task, *) = "Good morning, #{task.context[:name]}"
		end
		class GreetingTest < Minitest::Test
			def test_greeting
				task = run_task("greeting", context: { name: "Ada" })
				assert_complete task
				assert_equal "Good morning, Ada", task.step("greet").results
			end
		end
		result = GreetingTest.new("test_greeting").run
		[result.passed?, result.assertions, result.failures.map(&:message)]`, "suite.rb")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(out))
	// Output: [true,2,[]]
}

func migrate(ctx context.Context, address string) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := orchestration.Migrate(ctx, conn); err != nil {
		log.Fatal(err)
	}
}

func templateFolder(template string) string {
	folder, err := os.MkdirTemp("", "templates")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "template.yaml"), []byte(template), 0o600); err != nil {
		log.Fatal(err)
	}
	return folder
}
