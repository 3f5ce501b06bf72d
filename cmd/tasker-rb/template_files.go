package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/templates"
)

// loadedFiles are template files that were loaded.
type loadedFiles struct {
	sound []*templates.Template
	found []templates.Problem // of the other files
	// unfinished are what could be read of those: their handlers are checked, too.
	unfinished []*templates.Template
}

// withHandlers returns all templates whose handlers can be checked.
func (l loadedFiles) withHandlers() []*templates.Template {
	return slices.Concat(l.sound, l.unfinished)
}

// loadEach loads the files.
func loadEach(ctx context.Context, files []string) (l loadedFiles, err error) {
	for _, file := range files {
		t, err := untilInterrupted(ctx, func() (*templates.Template, error) { return templates.Load(file) })
		var problems *templates.Problems
		switch {
		case errors.As(err, &problems):
			l.found = append(l.found, problems.List...)
			// No handler makes steps fit that are chosen while a task runs.
			if problems.Unfinished != nil && !slices.ContainsFunc(problems.List, func(p templates.Problem) bool { return p.RunTime }) {
				l.unfinished = append(l.unfinished, problems.Unfinished)
			}
		case err != nil:
			return l, err
		default:
			l.sound = append(l.sound, t)
		}
	}
	return l, nil
}

// loadAll loads the templates of files and folders. All of them must be valid.
func loadAll(ctx context.Context, paths []string) ([]*templates.Template, error) {
	files, err := templateFiles(paths)
	if err != nil {
		return nil, err
	}
	l, err := loadEach(ctx, files)
	if err == nil && len(l.found) > 0 {
		err = &templates.Problems{List: l.found}
	}
	return l.sound, err
}

// templateFiles returns the named files, and the YAML files in the named folders.
func templateFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			files = append(files, path) // if it cannot be read, loading it reports why
			continue
		}
		before := len(files)
		err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml")) && !isSpecial(file) {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, errors.Wrapf(err, "reading %s", path)
		}
		if len(files) == before {
			return nil, errors.WithHint(errors.Newf("there is no template below %s", path), "Templates end in .yaml or .yml.")
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// isSpecial reports whether a file is a pipe, a socket or a device: none that is found in a
// folder is a template, and a pipe would be read until somebody writes into it.
func isSpecial(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0
}

// loadTemplate loads a template for an environment. The template must mention
// the environment.
func loadTemplate(ctx context.Context, file, env string) (*templates.Template, error) {
	t, err := untilInterrupted(ctx, func() (*templates.Template, error) {
		return templates.Load(file, templates.WithEnvironment(env))
	})
	if err != nil {
		return nil, err
	}
	if env != "" && !slices.Contains(t.Environments, env) {
		known := "Leave --env out; the template has no environments: section."
		if len(t.Environments) > 0 {
			known = "It has " + strings.Join(t.Environments, ", ") + "."
		}
		return nil, errors.WithHint(errors.Newf("%s has no environment %q", file, env), known)
	}
	return t, nil
}
