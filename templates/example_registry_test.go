package templates_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/tasker-rb/tasker-rb/templates"
)

// version is a small template of that version.
func version(v string) *templates.Template {
	tmpl, err := templates.Parse([]byte("name: a\nversion: "+v+"\nstep_templates: [{name: s, handler_class: S}]"), v+".yml")
	if err != nil {
		log.Fatal(err)
	}
	return tmpl
}

// A registry that a program fills itself; LoadDir makes one of a folder.
func ExampleNewRegistry() {
	registry := templates.NewRegistry(version("1.0.0"), version("1.1.0"))
	fmt.Println(registry.Len())
	// Output: 2
}

// Add refuses a template of the same namespace, name and version.
func ExampleRegistry_Add() {
	registry := templates.NewRegistry(version("1.0.0"))
	fmt.Println(registry.Add(version("1.1.0")))
	err := registry.Add(version("1.1.0"))
	var problems *templates.Problems
	fmt.Println(errors.As(err, &problems), registry.Len())
	// Output:
	// <nil>
	// true 2
}

// All lists templates by namespace, name and ascending version.
func ExampleRegistry_All() {
	for _, tmpl := range templates.NewRegistry(version("1.10.0"), order(), version("1.9.0")).All() {
		fmt.Println(tmpl.ID())
	}
	// Output:
	// default/a 1.9.0
	// default/a 1.10.0
	// shop/order 1.0.0
}

// Without a version, Find returns the highest one.
func ExampleRegistry_Find() {
	registry := templates.NewRegistry(version("1.9.0"), version("1.10.0"))
	found, err := registry.Find("default", "a", "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.ID())
	_, err = registry.Find("default", "b", "")
	fmt.Println(errors.Is(err, templates.ErrNotFound))
	// Output:
	// default/a 1.10.0
	// true
}
