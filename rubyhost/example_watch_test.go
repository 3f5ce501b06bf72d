package rubyhost_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Stats are for metrics. They never wait for Ruby.
func ExampleHost_Stats() {
	host := bootedHost()
	before := host.Stats()
	if _, err := host.Eval(context.Background(), "1 + 1", "example.rb"); err != nil {
		log.Fatal(err)
	}
	after := host.Stats()
	fmt.Println(after.Threads > 0, after.Calls > before.Calls)
	// Output: true true
}

// Threads is how many calls run at once.
func ExampleHost_Threads() {
	fmt.Println(bootedHost().Threads() > 0)
	// Output: true
}

// Health is for a readiness check. When it fails, the process has to be replaced.
func ExampleHost_Health() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(bootedHost().Health(ctx))
	// Output: <nil>
}

// GCStats asks Ruby about its heap. It needs a Ruby thread, as any call does.
func ExampleHost_GCStats() {
	stats, err := bootedHost().GCStats(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.HeapLiveSlots > stats.OldObjects && stats.OldObjects > 0, stats.RubyVersion != "")
	// Output: true true
}

// A handler keeps the name of its class, for logs.
func ExampleHandler_Class() {
	ctx := context.Background()
	host := bootedHost()
	_, err := host.Eval(ctx, "class ExampleLog < Tasker::StepHandler::Base; def process(*) = nil; end; nil", "log.rb")
	if err != nil {
		log.Fatal(err)
	}
	var handler *rubyhost.Handler
	if handler, err = host.Handler(ctx, "ExampleLog"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(handler.Class())
	// Output: ExampleLog
}

// Memory says what the process uses. With Collect it is what is in use, and no garbage.
func ExampleHost_Memory() {
	m, err := bootedHost().Memory(context.Background(), rubyhost.MemoryOptions{Collect: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.SlotsByType["T_STRING"] > 0, m.SlotBytes >= 40*m.LiveSlots, m.BridgeBytes > 0)
	// Output: true true true
}

// Malloc never waits for Ruby, so a worker may ask often.
func ExampleHost_Malloc() {
	inUse, _, ok := bootedHost().Malloc()
	fmt.Println(ok == (inUse > 0))
	// Output: true
}
