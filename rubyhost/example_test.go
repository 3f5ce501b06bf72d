package rubyhost_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// A process boots Ruby once. These examples share the host that this package's
// tests have booted; a program of your own does what is in [ExampleBoot].
func example() *rubyhost.Host { return host }

func ExampleBoot() {
	boot := func() error {
		host, err := rubyhost.Boot(rubyhost.Options{Threads: 4})
		if err != nil {
			return err
		}
		defer func() { _ = host.Close() }()
		if err := host.LoadDir(context.Background(), "app/handlers"); err != nil {
			return err
		}
		return nil
	}
	// Ruby runs in this process already.
	fmt.Println(errors.Is(boot(), rubyhost.ErrAlreadyBooted))
	// Output: true
}

func ExampleHost_Eval() {
	value, err := example().Eval(context.Background(), `{ version: RUBY_ENGINE, big: 2**70 }`, "example.rb")
	fmt.Println(string(value), err)
	// Output: {"version":"ruby","big":1180591620717411303424} <nil>
}

func ExampleMethod_Call() {
	ctx := context.Background()
	_, err := example().Eval(ctx, `
		module ExampleInvoice
			def self.total(lines) = lines.sum { |line| line["quantity"] * line["cents"] }
		end
		nil`, "example.rb")
	if err != nil {
		fmt.Println(err)
		return
	}
	total, err := example().Method(ctx, "ExampleInvoice.total")
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := total.Call(ctx, []map[string]int{{"quantity": 2, "cents": 1999}, {"quantity": 1, "cents": 490}})
	fmt.Println(string(value), err)
	// Output: 4488 <nil>
}

func ExampleHandler_Run() {
	ctx := context.Background()
	_, err := example().Eval(ctx, `
		class ExampleShip < Tasker::StepHandler::Base
			def process(task, sequence, step)
				{ order: task.context[:order_id], weight: sequence.get_results("pack")["grams"], attempt: step.attempts }
			end
		end
		nil`, "example.rb")
	if err != nil {
		fmt.Println(err)
		return
	}
	ship, err := example().Handler(ctx, "ExampleShip")
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := ship.Run(ctx, &rubyhost.Step{
		Task:    []byte(`{"task_id": 1, "name": "order"}`),
		Context: []byte(`{"order_id": 42}`),
		Step:    []byte(`{"name": "ship", "attempts": 1}`),
		Config:  []byte(`{}`),
		Steps:   []byte(`[{"name": "pack"}, {"name": "ship"}]`),
		Results: []rubyhost.Result{{Step: "pack", JSON: []byte(`{"grams": 1250}`)}},
	})
	fmt.Println(string(results), err)
	// Output: {"order":42,"weight":1250,"attempt":1} <nil>
}

func ExampleError() {
	_, err := example().Eval(context.Background(), `raise Tasker::PermanentError.new("no such order", error_code: "HTTP_404")`, "example.rb")
	var ruby *rubyhost.Error
	if errors.As(err, &ruby) {
		fmt.Println(ruby.Class, ruby.Message, ruby.ErrorCode, ruby.Permanent, ruby.IsA("StandardError"))
	}
	// Output: Tasker::PermanentError no such order HTTP_404 true true
}

func ExampleInterruptedError() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := example().Eval(ctx, `loop { begin; sleep; rescue => e; end }`, "example.rb")
	var interrupted *rubyhost.InterruptedError
	fmt.Println(errors.As(err, &interrupted), errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

// Handlers that wait overlap: this takes about as long as one of them.
func ExampleHost_Eval_concurrently() {
	var all sync.WaitGroup
	began := time.Now()
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, _ = example().Eval(context.Background(), "sleep 0.2", "example.rb")
		}()
	}
	all.Wait()
	fmt.Println(time.Since(began) < 600*time.Millisecond)
	// Output: true
}

// Ruby code asks Go; the Ruby thread waits without the GVL.
func ExampleHost_Serve() {
	ctx := context.Background()
	err := example().Serve(ctx, "greet", func(_ context.Context, name []byte) ([]byte, error) {
		return append([]byte("hello, "), name...), nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := example().Eval(ctx, `Tasker::Host.ask("greet", "Ruby")`, "example.rb")
	fmt.Println(string(value), err)
	// Output: "hello, Ruby" <nil>
}

func ExampleHost_Stats() {
	fmt.Println(example().Stats().Threads)
	// Output: 8
}

func ExampleHost_Health() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(example().Health(ctx))
	// Output: <nil>
}
