package templates_test

import (
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/templates"
)

// Load reads a file. The environment's values replace those of the template.
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

// LoadDir reads all templates of a folder and of those in it. It returns those
// that are sound, whatever is wrong with the others.
func ExampleLoadDir() {
	registry, err := templates.LoadDir("testdata")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tmpl := range registry.All() {
		fmt.Println(tmpl.ID())
	}
	// Output:
	// ecommerce/fulfil_order 1.2.0
	// theatre/print_ticket 2.1.0
}

// Parse reads a text. The name of the file is for messages and positions.
func ExampleParse() {
	tmpl, err := templates.Parse([]byte("name: ping\nstep_templates: [{name: ping, handler_class: Net::Ping}]"), "ping.yml")
	if err != nil {
		log.Fatal(err)
	}
	step := tmpl.Steps[0]
	fmt.Println(tmpl.ID(), step.HandlerClass, step.RetryLimit, step.Position)
	// Output: default/ping 0.1.0 Net::Ping 3 ping.yml:2:25
}

// WithEnvironment selects what the file says below environments. The template
// knows which environment it was read for.
func ExampleWithEnvironment() {
	text := []byte(`
name: ping
step_templates:
  - {name: ping, handler_class: Net::Ping, timeout_seconds: 5}
environments:
  development:
    step_templates: [{name: ping, timeout_seconds: 60}]
`)
	for _, environment := range []string{"", "development", "production"} {
		tmpl, err := templates.Parse(text, "ping.yml", templates.WithEnvironment(environment))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q %s\n", tmpl.Environment, tmpl.Steps[0].Timeout)
	}
	// Output:
	// "" 5s
	// "development" 1m0s
	// "production" 5s
}

// A step whose template says nothing about its retries waits like this.
func ExampleDefaultBackoff() {
	b := templates.DefaultBackoff()
	fmt.Println(b.Curve, b.Base, b.Max, b.Min, b.Jitter)
	// Output: exponential 1s 5m0s 1s 0.1
}

// Keep says how long an ended task of the template is kept.
func ExampleKeep_String() {
	tmpl, err := templates.Parse([]byte("name: ping\nkeep: 720h\nstep_templates: [{name: ping, handler_class: Net::Ping}]"), "ping.yml")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tmpl.Keep, tmpl.Keep.For, tmpl.Queue)
	// Output: 30d 720h0m0s default
}

// ParseKeep reads what a template says with keep:.
func ExampleParseKeep() {
	for _, text := range []string{"1h30m", "30d", "forever", "a month"} {
		keep, err := templates.ParseKeep(text)
		fmt.Println(keep.For, keep.Forever, err)
	}
	// Output:
	// 1h30m0s false <nil>
	// 720h0m0s false <nil>
	// 0s true <nil>
	// 0s false is not a time
}
