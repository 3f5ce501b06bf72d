package templates

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/Masterminds/semver/v3"
	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
)

// Registry holds templates by namespace, name and version. It is safe for
// concurrent use.
type Registry struct {
	mu        sync.RWMutex
	templates map[registryKey]*Template
}

type registryKey struct{ namespace, name, version string }

// ErrNotFound is the error of [Registry.Find], for errors.Is.
var ErrNotFound = errors.New("no such template")

// NewRegistry returns a registry that holds the given templates. If two have the
// same identity, the later one is kept.
func NewRegistry(list ...*Template) *Registry {
	r := &Registry{templates: make(map[registryKey]*Template)}
	for _, t := range list {
		r.templates[keyOf(t)] = t
	}
	return r
}

func keyOf(t *Template) registryKey { return registryKey{t.Namespace, t.Name, t.Version} }

// Add adds a template. If the registry has one with the same namespace, name and
// version, Add returns a [*Problems] that names both places.
func (r *Registry) Add(t *Template) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.templates[keyOf(t)]; before != nil {
		return &Problems{List: []Problem{{
			File: t.Position.File, Line: t.Position.Line, Column: t.Position.Column,
			Message: fmt.Sprintf("the template %s is given twice, first at %s", t.ID(), before.Position),
			Hint:    "Raise the version of one of the two, or remove it.",
		}}}
	}
	r.templates[keyOf(t)] = t
	return nil
}

// Find returns a template. An empty namespace means "default". An empty version
// means the highest one; a release is higher than its pre-releases. The error is
// an [ErrNotFound] with a hint that names similar templates.
func (r *Registry) Find(namespace, name, version string) (*Template, error) {
	namespace = cmp.Or(namespace, defaultNamespace)
	all := r.All()
	var latest *Template
	var versions, names []string
	for _, t := range all {
		full := t.Namespace + "/" + t.Name
		if !slices.Contains(names, full) {
			names = append(names, full)
		}
		if t.Namespace != namespace || t.Name != name {
			continue
		}
		if version == "" || t.Version == version {
			latest = t // All has ascending versions
		}
		versions = append(versions, t.Version)
	}
	wanted := namespace + "/" + name
	switch {
	case latest != nil:
		return latest, nil
	case len(versions) > 0:
		err := errors.Wrapf(ErrNotFound, "%s has no version %s", wanted, version)
		return nil, errors.WithHint(err, "There is "+nearest.Or(versions[max(0, len(versions)-5):])+".")
	}
	hint := nearest.Hint(wanted, names)
	for _, t := range all {
		if hint == "" && t.Name == name {
			hint = nearest.Hint(wanted, []string{t.Namespace + "/" + t.Name})
			if hint == "" {
				hint = fmt.Sprintf("There is %q in the namespace %q.", name, t.Namespace)
			}
		}
	}
	if hint == "" && len(names) > 0 {
		hint = "Known templates: " + nearest.Or(names[:min(5, len(names))]) + "."
	}
	return nil, errors.WithHint(errors.Wrap(ErrNotFound, wanted), cmp.Or(hint, "No template is loaded."))
}

// All returns the templates by namespace, name and ascending version.
func (r *Registry) All() []*Template {
	r.mu.RLock()
	list := make([]*Template, 0, len(r.templates))
	for _, t := range r.templates {
		list = append(list, t)
	}
	r.mu.RUnlock()
	slices.SortFunc(list, func(a, b *Template) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), compareVersions(a.Version, b.Version))
	})
	return list
}

// Len returns the number of templates.
func (r *Registry) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.templates)
}

// compareVersions orders semantic versions. Versions that differ only in their
// build metadata are ordered by their text.
func compareVersions(a, b string) int {
	x, errA := semver.StrictNewVersion(a)
	y, errB := semver.StrictNewVersion(b)
	if errA != nil || errB != nil {
		return cmp.Compare(a, b)
	}
	return cmp.Or(x.Compare(y), cmp.Compare(a, b))
}
