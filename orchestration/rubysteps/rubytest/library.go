package rubytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
	"github.com/tasker-rb/tasker-rb/templates"
)

// library finds templates by name or by file. It reads each file once for an environment.
type library struct {
	here  string // the folder that paths are relative to, also when the tests go to another one
	paths []string

	mu     sync.Mutex
	byEnv  map[string]*templates.Registry
	byFile map[fileKey]*templates.Template
}

type fileKey struct{ file, env string }

func newLibrary(paths []string) *library {
	here, _ := os.Getwd() // "" leaves paths as they are
	return &library{here: here, paths: paths, byEnv: map[string]*templates.Registry{}, byFile: map[fileKey]*templates.Template{}}
}

// find returns the template of a name, of namespace/name, or of a file. Without a version
// it is the highest one.
func (l *library) find(name, version, env string) (*templates.Template, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if isFile(name) {
		return l.load(name, env)
	}
	registry, err := l.registry(env)
	if err != nil {
		return nil, err
	}
	namespace, short, full := strings.Cut(name, "/")
	if full {
		t, err := registry.Find(namespace, short, version)
		return t, l.explain(name, registry, err)
	}
	var namespaces []string
	for _, t := range registry.All() {
		if t.Name == name && !slices.Contains(namespaces, t.Namespace) {
			namespaces = append(namespaces, t.Namespace)
		}
	}
	switch len(namespaces) {
	case 0:
		return nil, l.explain(name, registry, templates.ErrNotFound)
	case 1:
		t, err := registry.Find(namespaces[0], name, version)
		return t, l.explain(name, registry, err)
	}
	slices.Sort(namespaces)
	return nil, errors.WithHintf(errors.Newf("there is a template %s in several namespaces", name),
		"Say which one you mean: %s/%s.", strings.Join(namespaces, "/"+name+", "), name)
}

func isFile(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml":
		return true
	}
	return false
}

// at returns the place of a path.
func (l *library) at(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.here, path)
}

func (l *library) load(file, env string) (*templates.Template, error) {
	key := fileKey{file, env}
	if t := l.byFile[key]; t != nil {
		return t, nil
	}
	if _, err := os.Stat(l.at(file)); errors.Is(err, os.ErrNotExist) {
		return nil, errors.WithHint(errors.Newf("there is no template file %s", file), "A path is relative to the folder in which tasker-rb runs.")
	}
	t, err := templates.Load(l.at(file), templates.WithEnvironment(env))
	if err == nil {
		l.byFile[key] = t
	}
	return t, err
}

// registry returns the templates of all paths. The caller must hold l.mu.
func (l *library) registry(env string) (*templates.Registry, error) {
	if r := l.byEnv[env]; r != nil {
		return r, nil
	}
	r := templates.NewRegistry()
	for _, path := range l.paths {
		list := []*templates.Template{}
		if isFile(path) {
			t, err := l.load(path, env)
			if err != nil {
				return nil, err
			}
			list = append(list, t)
		} else {
			folder, err := templates.LoadDir(l.at(path), templates.WithEnvironment(env))
			if err != nil {
				return nil, err
			}
			list = folder.All()
		}
		for _, t := range list {
			if err := r.Add(t); err != nil {
				return nil, err
			}
		}
	}
	l.byEnv[env] = r
	return r, nil
}

// explain says where the library has looked for a template that it does not have.
func (l *library) explain(name string, registry *templates.Registry, err error) error {
	if err == nil || !errors.Is(err, templates.ErrNotFound) {
		return err
	}
	if hint := errors.FlattenHints(err); hint != "" {
		return err
	}
	names := namesOf(registry)
	hint := nearest.Hint(name, names)
	switch {
	case hint != "":
	case len(names) == 0:
		hint = "No template is known: say where they are with --templates DIR."
	case len(names) > 40:
		hint = fmt.Sprintf("%d names are known, and none is like it.", len(names))
	default:
		hint = "The templates are " + nearest.Or(fullNames(registry)) + "."
	}
	return errors.WithHint(errors.Newf("there is no template %q", name), hint)
}

// fullNames returns namespace/name of each template.
func fullNames(registry *templates.Registry) (names []string) {
	for _, t := range registry.All() {
		if full := t.Namespace + "/" + t.Name; !slices.Contains(names, full) {
			names = append(names, full)
		}
	}
	return names
}

// namesOf returns the names that find takes: short ones first, and the full ones.
func namesOf(registry *templates.Registry) []string {
	names := []string{}
	for _, t := range registry.All() {
		for _, name := range []string{t.Name, t.Namespace + "/" + t.Name} {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// all returns the templates of all paths.
func (l *library) all(env string) ([]*templates.Template, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	registry, err := l.registry(env)
	if err != nil {
		return nil, err
	}
	return registry.All(), nil
}
