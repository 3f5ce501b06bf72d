package templates

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Option is an option of [Load], [Parse] and [LoadDir].
type Option func(*options)

type options struct {
	environment string
}

// WithEnvironment applies environments.<name> of the file. If the file does not
// mention the name, or the name is "", no environment is applied, as in
// tasker-engine.
func WithEnvironment(name string) Option {
	return func(o *options) { o.environment = name }
}

// Load reads and checks a template file. The error is a [*Problems]. A pipe is read to its
// end; a socket or a device is refused.
func Load(path string, opts ...Option) (*Template, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(data, path, opts...)
}

// Parse checks the text of a template. file is used only as the name in messages
// and positions. Every environment of the template is checked, not only the
// selected one. The error is a [*Problems].
func Parse(data []byte, file string, opts ...Option) (*Template, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	problems := newCollector(file)
	root, err := tree.ParseYAML(data)
	if broken := problems.absorb(err); broken && root == nil {
		return nil, problems.err()
	}
	switch {
	case root == nil:
		problems.place(1, 1, "Begin with name: and step_templates:.", "the file is empty")
		return nil, problems.err()
	case root.Kind != tree.Object:
		problems.at(root, "Begin with name: and step_templates:.", "a template must be a mapping, found %s", root.Describe())
		return nil, problems.err()
	}
	root = stepsByTheirName(withoutSymbols(root), problems)
	b := &builder{problems: problems, format: formatOf(root)}
	if b.format.nullIsNothing {
		root = withoutNulls(root, b.format)
	}
	return parseDocument(root, o.environment, b)
}

// parseDocument builds the template in every environment. It returns the one of
// the selected environment.
func parseDocument(root *tree.Node, environment string, b *builder) (*Template, error) {
	problems := b.problems
	b.schemas = make(map[*tree.Node]*contextSchema)
	base := withoutEnvironments(root)
	selected := b.build(base)
	readable := b.readable
	var names []string
	for _, env := range environments(root, problems) {
		names = append(names, env.Key)
		problems.unused = env.Key != environment
		t := b.build(b.overlay(base, env))
		if env.Key == environment {
			selected, readable = t, b.readable
		}
	}
	if list := problems.faults(); list != nil {
		return nil, &Problems{List: list, Unfinished: &Template{
			TaskHandlerClass: selected.TaskHandlerClass, TaskHandlerPosition: selected.TaskHandlerPosition,
			Position: selected.Position, Steps: readable,
		}}
	}
	selected.Environment, selected.Environments = environment, names
	selected.Warnings = problems.sorted()
	return selected, nil
}

// absorb adds the faults that the reader of a document found. It reports whether
// there were any.
func (c *collector) absorb(err error) bool {
	var faults tree.Errors
	if !errors.As(err, &faults) {
		return false
	}
	for _, fault := range faults {
		c.place(fault.Line, fault.Column, fault.Hint, "%s", fault.Message)
	}
	return true
}

// readFile reads a file. The error is a *Problems with a hint.
func readFile(path string) ([]byte, error) {
	info, statErr := os.Stat(path)
	if statErr == nil {
		if kind := specialKind(info.Mode()); kind == "socket" || kind == "device" { // may have no end
			return nil, &Problems{List: []Problem{{File: path, Message: "this is a " + kind + ", not a template file", Hint: "Name a file."}}}
		}
	}
	data, err := os.ReadFile(path)
	if err == nil {
		return data, nil
	}
	problem := Problem{File: path}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problem.Message = "the file does not exist"
		files := templateFiles(filepath.Dir(path))
		problem.Hint = nearest.Hint(filepath.Base(path), files)
		for _, extension := range []string{".yaml", ".yml"} {
			if name := filepath.Base(path) + extension; slices.Contains(files, name) {
				problem.Hint = fmt.Sprintf("Did you mean %q?", name)
			}
		}
		if problem.Hint == "" {
			problem.Hint = "Check the path; it is relative to the current directory."
		}
	case errors.Is(err, fs.ErrPermission):
		problem.Message = "the file may not be read by this user"
		problem.Hint = "Change its owner or its mode."
	case statErr == nil && info.IsDir():
		problem.Message = "this is a directory, not a template file"
		problem.Hint = "Name one file."
		if files := templateFiles(path); len(files) > 0 {
			problem.Hint = "Name one file: " + nearest.Or(files[:min(3, len(files))]) + "."
		}
	default:
		problem.Message = fmt.Sprintf("the file cannot be read: %v", cause(err))
		problem.Hint = "Check the file, and the disk that it is on."
	}
	return nil, &Problems{List: []Problem{problem}, cause: err}
}

// specialKind names what is neither a file nor a folder.
func specialKind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return ""
}

// cause returns the error below the name of the file.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// templateFiles returns the names of the YAML files in a directory.
func templateFiles(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		if !entry.IsDir() && isTemplateFile(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names
}

func isTemplateFile(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return (ext == ".yml" || ext == ".yaml") && !strings.HasPrefix(name, ".")
}
