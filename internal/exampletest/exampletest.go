// Package exampletest checks that the examples of a package are its manual:
// every exported function and method has one, each runs and has its output
// checked, and each compiles in a program that imports the module.
//
//	func TestExamples(t *testing.T) {
//		exampletest.Check(t, map[string]string{
//			"Error.Unwrap": "errors.As calls it, as ExampleError does",
//		})
//	}
package exampletest

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Check reports each fault in the examples of the test's own package. The keys of
// without are the functions ("Name") and methods ("Type.Name") that need no
// example, the values are the reasons.
func Check(t *testing.T, without map[string]string) {
	t.Helper()
	faults, err := faults(".", without)
	require.NoError(t, err)
	for _, fault := range faults {
		t.Error(fault)
	}
}

func faults(dir string, without map[string]string) ([]string, error) {
	set := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(set, files, dir)
	if err != nil {
		return nil, err
	}
	found := inFiles(set, files)
	for name, examples := range documented(p) {
		reason, excused := without[name]
		switch {
		case len(examples) == 0 && !excused:
			found = append(found, name+" has no example")
		case len(examples) > 0 && excused:
			found = append(found, name+" is said to need no example, and has one")
		case excused && reason == "":
			found = append(found, name+" is said to need no example, without a reason")
		}
		for _, e := range examples {
			if e.Output == "" && !e.EmptyOutput {
				found = append(found, fmt.Sprintf("Example%s has no // Output: comment, so it does not run", e.Name))
			}
		}
	}
	for name := range without {
		if _, known := documented(p)[name]; !known {
			found = append(found, name+" is said to need no example, and is not exported here")
		}
	}
	slices.Sort(found)
	return found, nil
}

// documented returns the examples of each exported function and method by its
// name. The package's own have the name "package", a type's own its name.
func documented(p *doc.Package) map[string][]*doc.Example {
	all := map[string][]*doc.Example{"package": p.Examples}
	for _, f := range p.Funcs {
		all[f.Name] = f.Examples
	}
	for _, t := range p.Types {
		for _, f := range t.Funcs {
			all[f.Name] = f.Examples
		}
		for _, m := range t.Methods {
			all[t.Name+"."+m.Name] = m.Examples
		}
		if len(t.Examples) > 0 { // a type alone needs none: its functions and methods do
			all[t.Name] = t.Examples
		}
	}
	return all
}

// inFiles finds what a user of the module could not compile.
func inFiles(set *token.FileSet, files []*ast.File) []string {
	var found []string
	for _, file := range files {
		name := filepath.Base(set.Position(file.Pos()).Filename)
		if !strings.HasPrefix(name, "example_") || !strings.HasSuffix(name, "_test.go") {
			continue
		}
		if !strings.HasSuffix(file.Name.Name, "_test") {
			found = append(found, name+" is not in a package of its own")
		}
		for _, i := range file.Imports {
			if strings.Contains(i.Path.Value, "/internal/") {
				found = append(found, name+" imports "+i.Path.Value)
			}
		}
	}
	return found
}
