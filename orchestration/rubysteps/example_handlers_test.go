package rubysteps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"strings"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/templates"
)

// An engine whose handlers are all in Ruby. Errors that Ruby raises are kept with
// the attempt, with their class and their backtrace.
func ExampleNew() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	host := bootedHost()
	_, err := host.Eval(ctx, `
		class ExampleCharge < Tasker::StepHandler::Base
			def process(task, _sequence, _step)
				raise Tasker::PermanentError.new("declined", error_code: "CARD") if task.context[:cents] > 1000

				{ paid: task.context[:cents] }
			end
		end
		nil`, "charge.rb")
	if err != nil {
		log.Fatal(err)
	}
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: rubysteps.New(host)})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template, err := templates.Parse([]byte("name: charge\nstep_templates: [{name: charge, handler_class: ExampleCharge}]"), "charge.yaml")
	if err != nil {
		log.Fatal(err)
	}
	for _, document := range []string{`{"cents": 999}`, `{"cents": 1001}`} {
		task, err := engine.Submit(ctx, orchestration.Submission{Template: template, Context: json.RawMessage(document)})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := engine.Run(ctx, task.TaskID); err != nil {
			log.Fatal(err)
		}
		detail, err := engine.Task(ctx, task.TaskID)
		if err != nil {
			log.Fatal(err)
		}
		attempt := detail.Steps[0].Last()
		if attempt.Err != nil {
			place, _, _ := strings.Cut(attempt.Err.Backtrace[0], ":in ")
			fmt.Println(detail.State, attempt.Err.Class, attempt.Err.ErrorCode, place)
		} else {
			fmt.Println(detail.State, string(attempt.Results))
		}
	}
	// Output:
	// complete {"paid":999}
	// error Tasker::PermanentError CARD charge.rb:4
}

// A program may look for the handlers of its templates before the first task. The
// error of a class that cannot be found names the file that it was expected in.
func ExampleHandlers_ResolveHandler() {
	ctx := context.Background()
	handlers := rubysteps.New(bootedHost())
	_, err := bootedHost().Eval(ctx, "class ExamplePack < Tasker::StepHandler::Base; def process(*) = nil; end; nil", "pack.rb")
	if err != nil {
		log.Fatal(err)
	}
	for _, class := range []string{"ExamplePack", "ExampleUnpack"} {
		_, err := handlers.ResolveHandler(ctx, class)
		fmt.Println(class, err == nil)
	}
	// Output:
	// ExamplePack true
	// ExampleUnpack false
}

// Ruby handlers run on the threads of their host. The engine claims a step when one of them
// is free.
func ExampleHandlers_ThreadsOf() {
	host := bootedHost()
	handlers := rubysteps.New(host)
	fmt.Println(handlers.ThreadsOf("ExampleCharge").Count() == host.Threads())
	// Output: true
}

// A task handler may have a method schema. A submission is refused if its context does not
// fit.
func ExampleHandlers_CheckContext() {
	ctx := context.Background()
	host := bootedHost()
	_, err := host.Eval(ctx, `
		class ExampleOrder
			include Tasker::TaskHandler
			def schema = { type: :object, required: [:order_id] }
		end
		nil`, "order.rb")
	if err != nil {
		log.Fatal(err)
	}
	template, err := templates.Parse([]byte("name: order\ntask_handler_class: ExampleOrder\nstep_templates:\n  - {name: pay, handler_class: Pay}\n"), "order.yaml")
	if err != nil {
		log.Fatal(err)
	}
	handlers := rubysteps.New(host)
	fmt.Println(handlers.CheckContext(ctx, template, []byte(`{"order_id": 7}`)))
	fmt.Println(handlers.CheckContext(ctx, template, []byte(`{}`)))
	// Output:
	// <nil>
	// bad context for default/order 0.1.0: context.order_id is required
}

// Subscribers in Ruby are told of the events of tasks. The handlers are loaded before Serve,
// and Flush comes before what subscribers use is closed.
func ExampleEvents() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	host := bootedHost()
	_, err := host.Eval(ctx, `
		class ExampleBake < Tasker::StepHandler::Base
			def process(*) = "bread"
		end
		$baked = []
		$baking = Tasker::Events.subscribe("task.completed") { |event| $baked << "#{event[:task_name]}: #{event[:completed_steps]} step" }
		nil`, "bake.rb")
	if err != nil {
		log.Fatal(err)
	}
	var events rubysteps.Events
	if err := events.Serve(ctx, host, slog.Default()); err != nil {
		log.Fatal(err)
	}
	engine, err := orchestration.New(ctx, orchestration.Config{Pool: pool, Handlers: rubysteps.New(host), OnEvent: events.OnEvent})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	template, err := templates.Parse([]byte("name: bakery\nstep_templates: [{name: bake, handler_class: ExampleBake}]"), "bakery.yaml")
	if err != nil {
		log.Fatal(err)
	}
	task, err := engine.Submit(ctx, orchestration.Submission{Template: template})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := engine.Run(ctx, task.TaskID); err != nil {
		log.Fatal(err)
	}
	events.Flush(ctx)
	baked, err := host.Eval(ctx, "Tasker::Events.unsubscribe($baking); $baked", "baked.rb")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(baked))
	// Output: ["bakery: 1 step"]
}
