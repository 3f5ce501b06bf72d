package soak_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

func ExampleExecute() {
	s := &simulated{classes: []string{"Shop::Validate", "Shop::Charge"}, uses: func(calls map[string]int64, _ int64) map[string]int64 {
		return map[string]int64{soak.RubySlots: 40 * calls["Shop::Charge"]}
	}}
	r, err := soak.Execute(context.Background(), s.options(6000))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Verdict.Growth, r.Where[0].Kind, r.Classes[0].Classes, r.Classes[0].Grows)
	// Output: leak ruby_heap [Shop::Charge] true
}

// Deciding are three of the measures.
func ExampleDeciding() {
	for _, k := range soak.Deciding() {
		fmt.Println(k.Key, "in", k.Unit)
	}
	// Output:
	// malloc_in_use in bytes
	// ruby_slots in bytes
	// go_heap in bytes
}

func ExampleContexts_Words() {
	fmt.Println(soak.Contexts{}.Words())
	fmt.Println(soak.Contexts{File: "contexts.rb"}.Words())
	// Output:
	// the same for each task
	// made by contexts.rb
}

func ExampleCommas() {
	fmt.Println(soak.Commas(20_000), soak.Commas(-999))
	// Output: 20,000 -999
}

// Connect waits for the runner's plan, and Do gives it orders.
func ExampleConnect() {
	s := &simulated{classes: []string{"Charge"}}
	remote, err := s.start(context.Background(), false)
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := remote.Do(context.Background(), soak.Order{Op: soak.OpBatch, Portions: []soak.Portion{{Tasks: 25}}}, nil)
	fmt.Println(remote.Plan.Templates[0].ID, a.Sample.Tasks, a.Sample.Steps, err)
	fmt.Println(strings.TrimSpace(fmt.Sprint(remote.Close())))
	// Output:
	// shop/order 1.0.0 25 25 <nil>
	// <nil>
}
