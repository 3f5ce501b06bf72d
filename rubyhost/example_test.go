package rubyhost_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Go calls Ruby, and gets its value as JSON.
func Example() {
	ctx := context.Background()
	host := bootedHost() // or rubyhost.Boot(rubyhost.Options{})
	_, err := host.Eval(ctx, `
		module ExampleInvoice
			def self.total(lines) = lines.sum { |line| line["quantity"] * line["cents"] }
		end
		nil`, "invoice.rb")
	if err != nil {
		log.Fatal(err)
	}
	total, err := host.Method(ctx, "ExampleInvoice.total")
	if err != nil {
		log.Fatal(err)
	}
	value, err := total.Call(ctx, []map[string]int{{"quantity": 2, "cents": 1999}, {"quantity": 1, "cents": 490}})
	fmt.Println(string(value), err)
	// Output: 4488 <nil>
}

// bootedHost is the host that this process has booted. A process does that once,
// so the examples share it; ExampleBoot shows how a program does it.
func bootedHost() *rubyhost.Host { return host }
