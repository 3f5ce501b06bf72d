package templates_test

import (
	"fmt"

	"github.com/tasker-rb/tasker-rb/templates"
)

// namesOf returns the names of the steps.
func namesOf(steps []*templates.Step) []string {
	var out []string
	for _, s := range steps {
		out = append(out, s.Name)
	}
	return out
}

// Step finds a step by its name.
func ExampleTemplate_Step() {
	ship := order().Step("ship")
	fmt.Println(ship.HandlerClass, ship.Parents, ship.Level)
	fmt.Println(order().Step("sheep"))
	// Output:
	// Shop::Ship [reserve charge] 2
	// <nil>
}

// Roots are the steps that depend on no other.
func ExampleTemplate_Roots() {
	fmt.Println(namesOf(order().Roots()))
	// Output: [validate]
}

// Levels groups the steps: those of one level do not depend on each other.
func ExampleTemplate_Levels() {
	for i, level := range order().Levels() {
		fmt.Println(i, namesOf(level))
	}
	// Output:
	// 0 [validate]
	// 1 [reserve charge]
	// 2 [ship]
}

// Ancestors are all steps that a step depends on, directly or not: those whose
// results its handler sees.
func ExampleTemplate_Ancestors() {
	fmt.Println(namesOf(order().Ancestors("ship")))
	// Output: [validate reserve charge]
}

func ExampleTemplate_DependsOn() {
	fmt.Println(order().DependsOn("ship", "validate"), order().DependsOn("reserve", "charge"))
	// Output: true false
}

// First cuts a template off after some steps. What is left is a template too.
func ExampleTemplate_First() {
	part, err := order().First(2)
	if err != nil {
		panic(err)
	}
	fmt.Println(namesOf(part.Steps), part.Version)
	// Output: [validate reserve] 1.0.0-first.2
}
