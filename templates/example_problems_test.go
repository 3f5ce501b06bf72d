package templates_test

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/tasker-rb/tasker-rb/templates"
)

// Every fault of a template is found at once, with its place and what to do.
func ExampleProblems() {
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

// A file that cannot be read is a problem too, and keeps the system's error.
func ExampleProblems_Unwrap() {
	_, err := templates.Load("nowhere.yml")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output: true
}

// The place of a fault is in the form that editors and terminals make a link of.
func ExampleProblem_Position() {
	_, err := templates.Parse([]byte("name: order\nstep_templates: []\nverson: 1.0.0"), "order.yml")
	var problems *templates.Problems
	if errors.As(err, &problems) {
		for _, p := range problems.List {
			fmt.Println(p.Position())
		}
	}
	// Output:
	// order.yml:2:17
	// order.yml:3:1
}
