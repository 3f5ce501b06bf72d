// Package templates reads task templates: YAML files that name the steps of a
// task, what each depends on, and the Ruby class that does it.
//
//	tmpl, err := templates.Load("order.yml", templates.WithEnvironment("production"))
//	if err != nil {
//		return err // a *Problems: every fault of the file, each with its place and a hint
//	}
//	for _, step := range tmpl.Steps { // parents come before children
//		fmt.Println(step.Name, step.HandlerClass, step.Parents)
//	}
//	input, err := tmpl.ValidateContext(body) // defaults filled in, numbers untouched
//
// A [Template] is complete and never changes: environments are merged, defaults
// filled in, dependencies checked and put in order, the context's JSON Schema
// compiled. It travels as JSON ([Template.Encode], [Decode]), so that a running
// task keeps the template it began with, and [Template.Digest] tells whether two
// templates say the same.
//
// The keys and their meaning are in docs/templates.md. The package knows no
// database and no Ruby: whether a handler class exists is checked elsewhere,
// with the places that a Template keeps.
package templates
