package rubyhost_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Method finds a public method of a constant. It is for programs that embed Ruby
// and have no steps.
func ExampleHost_Method() {
	ctx := context.Background()
	sqrt, err := bootedHost().Method(ctx, "Integer.sqrt")
	if err != nil {
		log.Fatal(err)
	}
	value, err := sqrt.Call(ctx, 1_000_000)
	fmt.Println(string(value), err)
	_, err = bootedHost().Method(ctx, "Integer.root")
	fmt.Println(err != nil)
	// Output:
	// 1000 <nil>
	// true
}

// Call turns its arguments into JSON, which Ruby parses.
func ExampleMethod_Call() {
	ctx := context.Background()
	_, err := bootedHost().Eval(ctx, `
		module ExampleLetters
			def self.greet(person, greeting) = "#{greeting}, #{person["name"]}!"
		end
		nil`, "letters.rb")
	if err != nil {
		log.Fatal(err)
	}
	greet, err := bootedHost().Method(ctx, "ExampleLetters.greet")
	if err != nil {
		log.Fatal(err)
	}
	value, err := greet.Call(ctx, map[string]string{"name": "Ada"}, "good morning")
	fmt.Println(string(value), err)
	// Output: "good morning, Ada!" <nil>
}

// Call decodes what the method returns.
func ExampleCall() {
	ctx := context.Background()
	sqrt, err := bootedHost().Method(ctx, "Integer.sqrt")
	if err != nil {
		log.Fatal(err)
	}
	root, err := rubyhost.Call[int](ctx, sqrt, 1_000_000)
	fmt.Println(root+1, err)
	_, err = rubyhost.Call[string](ctx, sqrt, 1_000_000)
	fmt.Println(err)
	// Output:
	// 1001 <nil>
	// rubyhost: the value of Integer.sqrt does not fit string: json: cannot unmarshal number into Go value of type string
}

// Handler finds a class that was loaded.
func ExampleHost_Handler() {
	ctx := context.Background()
	host := bootedHost()
	_, err := host.Eval(ctx, "class ExampleWrap < Tasker::StepHandler::Base; def process(*) = nil; end; nil", "wrap.rb")
	if err != nil {
		log.Fatal(err)
	}
	for _, class := range []string{"ExampleWrap", "ExampleRap"} {
		_, err := host.Handler(ctx, class)
		fmt.Println(class, err == nil)
	}
	// Output:
	// ExampleWrap true
	// ExampleRap false
}

// Run makes an object of the class and calls its process. The documents are
// parsed when the handler first touches them.
func ExampleHandler_Run() {
	ctx := context.Background()
	host := bootedHost()
	_, err := host.Eval(ctx, `
		class ExampleShip < Tasker::StepHandler::Base
			def process(task, sequence, step)
				{ order: task.context[:order_id], weight: sequence.get_results("pack")["grams"], attempt: step.attempts }
			end
		end
		nil`, "ship.rb")
	if err != nil {
		log.Fatal(err)
	}
	ship, err := host.Handler(ctx, "ExampleShip")
	if err != nil {
		log.Fatal(err)
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

// Within has the hooks of a task handler called around the handler.
func ExampleHandler_Within() {
	ctx := context.Background()
	host := bootedHost()
	_, err := host.Eval(ctx, `
		class ExampleWeigh
			def process(task, *) = { grams: task.context[:grams], unit: task.context[:unit] }
		end
		class ExampleParcel
			include Tasker::TaskHandler
			def establish_step_dependencies_and_defaults(task, steps) = task.context[:unit] ||= "g"
		end
		nil`, "parcel.rb")
	if err != nil {
		log.Fatal(err)
	}
	weigh, err := host.Handler(ctx, "ExampleWeigh")
	if err != nil {
		log.Fatal(err)
	}
	within, err := weigh.Within(ctx, "ExampleParcel")
	if err != nil {
		log.Fatal(err)
	}
	results, err := within.Run(ctx, &rubyhost.Step{
		Task: []byte(`{"task_id": 1}`), Context: []byte(`{"grams": 1250}`), Step: []byte(`{"name": "weigh", "attempts": 1}`),
		Config: []byte(`{}`), Steps: []byte(`[{"name": "weigh"}]`),
	})
	fmt.Println(string(results), err)
	// Output: {"grams":1250,"unit":"g"} <nil>
}

// Calls that wait overlap.
func ExampleHost_Eval_concurrently() {
	ctx, host := context.Background(), bootedHost()
	if _, err := host.Eval(ctx, "$here = Queue.new; nil", "example.rb"); err != nil {
		log.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 { // each waits for the others, so all four run at the same time
		all.Go(func() {
			if _, err := host.Eval(ctx, "$here << 1; sleep 0.001 until $here.size == 4", "example.rb"); err != nil {
				log.Fatal(err)
			}
		})
	}
	all.Wait()
	fmt.Println("all four met")
	// Output: all four met
}

// Ruby code asks Go; the Ruby thread waits without the GVL.
func ExampleHost_Serve() {
	ctx := context.Background()
	host := bootedHost()
	err := host.Serve(ctx, "greet", func(_ context.Context, name []byte) ([]byte, error) {
		return append([]byte("hello, "), name...), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	value, err := host.Eval(ctx, `Tasker::Host.ask("greet", "Ruby")`, "example.rb")
	fmt.Println(string(value), err)
	// Output: "hello, Ruby" <nil>
}
