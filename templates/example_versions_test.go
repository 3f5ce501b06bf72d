package templates_test

import (
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/templates"
)

// ID is how messages name a template.
func ExampleTemplate_ID() {
	fmt.Println(order().ID())
	// Output: shop/order 1.0.0
}

// Two texts that say the same have the same digest, whatever the order of their
// keys; a default that is written out changes nothing.
func ExampleTemplate_Digest() {
	one, err := templates.Parse([]byte("name: a\nstep_templates: [{name: s, handler_class: S}]"), "a.yml")
	if err != nil {
		log.Fatal(err)
	}
	same, err := templates.Parse([]byte("step_templates: [{handler_class: S, name: s, default_retry_limit: 3}]\nname: a"), "b.yml")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(one.Digest() == same.Digest())
	// Output: true
}

// Encode writes a template as JSON, to be stored beside a task.
func ExampleTemplate_Encode() {
	stored := order().Encode()
	again, err := templates.Decode(stored)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(stored) == string(again.Encode()))
	// Output: true
}

// Decode reads what Encode wrote. The template is the same, without positions.
func ExampleDecode() {
	again, err := templates.Decode(order().Encode())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.ID(), again.Digest() == order().Digest(), again.Position == templates.Position{})
	// Output: shop/order 1.0.0 true true
}

// Changes says in words what has changed between two versions of a template.
func ExampleChanges() {
	before, err := templates.Parse([]byte("name: a\nstep_templates: [{name: pay, handler_class: Pay}, {name: ship, handler_class: Ship}]"), "a.yml")
	if err != nil {
		log.Fatal(err)
	}
	after, err := templates.Parse([]byte("name: a\nstep_templates: [{name: pay, handler_class: Pay, default_retry_limit: 5}, {name: send, handler_class: Ship}]"), "a.yml")
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range templates.Changes(before, after) {
		fmt.Println(line)
	}
	// Output:
	// step pay: retry limit 3 -> 5
	// step ship is now called send
}

// Diff says what has changed between two versions of a template.
func ExampleDiff() {
	before, err := templates.Parse([]byte("name: a\nstep_templates: [{name: s, handler_class: S}]"), "a.yml")
	if err != nil {
		log.Fatal(err)
	}
	after, err := templates.Parse([]byte("name: a\nstep_templates: [{name: s, handler_class: S, default_retry_limit: 5}]"), "a.yml")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(templates.Diff(before, after))
	// Output:
	// - step_templates.s.default_retry_limit: 3
	// + step_templates.s.default_retry_limit: 5
}
