// Package templates reads task templates. A template is a YAML file that names
// the steps of a task, the dependencies of each step, and the Ruby class that
// handles it.
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
// A [Template] is complete and never changes. Its environment is merged, its
// defaults are filled in, its steps are in the order of their dependencies, and
// the JSON Schema of its context is compiled. [Template.Encode] writes it as JSON
// and [Decode] reads it back, so a running task keeps the template it began with.
// Two templates that mean the same have the same [Template.Digest].
//
// Two formats are read: the one of tasker-engine, with step_templates, and the one
// of Tasker Core, with steps. Encode always writes the first. Template.Warnings has
// the parts of a file that nothing reads.
//
// docs/templates.md describes every key. The package uses no database and no
// Ruby. Its callers check whether a handler class exists; Step.HandlerPosition
// tells them where the file names the class.
package templates
