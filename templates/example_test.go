package templates_test

import (
	"errors"
	"fmt"

	"github.com/tasker-rb/tasker-rb/templates"
)

const orderYAML = `
name: order
namespace_name: shop
version: 1.0.0
schema:
  type: object
  required: [order_id]
  properties:
    order_id: {type: integer, minimum: 1}
    priority: {enum: [standard, express], default: standard}
step_templates:
  - name: validate
    handler_class: Shop::Validate
  - name: reserve
    handler_class: Shop::Reserve
    depends_on_step: validate
  - name: charge
    handler_class: Shop::Charge
    depends_on_step: validate
  - name: ship
    handler_class: Shop::Ship
    depends_on_steps: [reserve, charge]
`

func Example() {
	tmpl, err := templates.Parse([]byte(orderYAML), "order.yml")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range tmpl.Steps {
		fmt.Println(step.Level, step.Name, step.HandlerClass, step.Parents)
	}
	// Output:
	// 0 validate Shop::Validate []
	// 1 reserve Shop::Reserve [validate]
	// 1 charge Shop::Charge [validate]
	// 2 ship Shop::Ship [reserve charge]
}

func ExampleLoad() {
	tmpl, err := templates.Load("testdata/order.yml", templates.WithEnvironment("test"))
	if err != nil {
		fmt.Println(err)
		return
	}
	charge := tmpl.Step("charge")
	fmt.Println(charge.RetryLimit, charge.HandlerPosition)
	// Output: 1 testdata/order.yml:47:20
}

func ExampleLoadDir() {
	registry, err := templates.LoadDir("testdata")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tmpl := range registry.All() {
		fmt.Println(tmpl.ID())
	}
	// Output: ecommerce/fulfil_order 1.2.0
}

func ExampleParse_problems() {
	_, err := templates.Parse([]byte(`
name: order
verson: 1.0.0
step_templates:
  - name: ship
    handler_class: shop/ship
    depends_on_step: chrage
  - name: charge
    handler_class: Shop::Charge
`), "order.yml")
	var problems *templates.Problems
	if errors.As(err, &problems) {
		for _, p := range problems.List {
			fmt.Println(p)
			fmt.Println("   ", p.Hint)
		}
	}
	// Output:
	// order.yml:3:1: a template has no key "verson"
	//     Did you mean "version"?
	// order.yml:6:20: handler_class "shop/ship" is not the name of a Ruby class
	//     Did you mean "Shop::Ship"?
	// order.yml:7:22: the step "ship" depends on "chrage", which is not a step
	//     Did you mean "charge"?
}

func ExampleTemplate_ValidateContext() {
	tmpl, _ := templates.Parse([]byte(orderYAML), "order.yml")
	filled, _ := tmpl.ValidateContext([]byte(`{"order_id": 1606938044258990275541962092341162602522202993782792835301376}`))
	fmt.Println(string(filled))
	_, err := tmpl.ValidateContext([]byte(`{"order_id": 0, "priority": "fast"}`))
	fmt.Println(err)
	// Output:
	// {"order_id":1606938044258990275541962092341162602522202993782792835301376,"priority":"standard"}
	// bad context for shop/order 1.0.0, 2 faults:
	//   context.order_id must be at least 1, got 0
	//   context.priority must be one of "standard", "express", got "fast"
}

func ExampleTemplate_Text() {
	tmpl, _ := templates.Parse([]byte(orderYAML), "order.yml")
	fmt.Print(tmpl.Text())
	// Output:
	// shop/order 1.0.0 (4 steps, 3 levels)
	//
	// ●    validate
	// ├─●  reserve
	// ● │  charge
	// ●─╯  ship  <- reserve, charge
}

func ExampleTemplate_Mermaid() {
	tmpl, _ := templates.Parse([]byte(orderYAML), "order.yml")
	fmt.Print(tmpl.Mermaid())
	// Output:
	// flowchart TD
	//     s0["validate"]
	//     s1["reserve"]
	//     s2["charge"]
	//     s3["ship"]
	//     s0 --> s1
	//     s0 --> s2
	//     s1 --> s3
	//     s2 --> s3
}

func ExampleDecode() {
	tmpl, _ := templates.Parse([]byte(orderYAML), "order.yml")
	stored := tmpl.Encode() // beside the task
	again, _ := templates.Decode(stored)
	fmt.Println(again.ID(), again.Digest() == tmpl.Digest())
	// Output: shop/order 1.0.0 true
}

func ExampleDiff() {
	before, _ := templates.Parse([]byte("name: a\nstep_templates: [{name: s, handler_class: S}]"), "a.yml")
	after, _ := templates.Parse([]byte("name: a\nstep_templates: [{name: s, handler_class: S, default_retry_limit: 5}]"), "a.yml")
	fmt.Print(templates.Diff(before, after))
	// Output:
	// - step_templates.s.default_retry_limit: 3
	// + step_templates.s.default_retry_limit: 5
}

func ExampleRegistry_Find() {
	old, _ := templates.Parse([]byte("name: a\nversion: 1.9.0\nstep_templates: [{name: s, handler_class: S}]"), "old.yml")
	latest, _ := templates.Parse([]byte("name: a\nversion: 1.10.0\nstep_templates: [{name: s, handler_class: S}]"), "new.yml")
	registry := templates.NewRegistry(old, latest)
	found, _ := registry.Find("default", "a", "")
	fmt.Println(found.ID())
	// Output: default/a 1.10.0
}
