package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/cockroachdb/errors"
)

// testLayout is where the code under test is.
type testLayout struct {
	handlers  []string // absolute paths of folders
	templates []string // files
}

// templateFolders are where templates are by custom.
var templateFolders = []string{"templates", "config/tasker"}

// handlerFolders are where handlers are by custom.
var handlerFolders = []string{"handlers", "app/handlers"}

func (t *testCommand) layout() (l testLayout, err error) {
	if len(t.templates) > 0 {
		for _, path := range t.templates {
			if !exists(path) {
				return l, errors.WithHint(errors.Newf("--templates %s: there is no such folder", path), "Name the folder that holds the templates.")
			}
		}
		l.templates, err = templateFiles(t.templates)
	} else {
		l.templates, err = usualTemplates()
	}
	if err != nil {
		return l, err
	}
	folders := t.handlers
	if len(folders.dirs) == 0 {
		folders.dirs = usualHandlers(l.templates)
	}
	l.handlers, err = folders.folders("")
	return l, err
}

// usualTemplates are those of the first folder that has any, else those in the working
// folder itself. A folder called templates may hold other things.
func usualTemplates() ([]string, error) {
	for _, dir := range templateFolders {
		if !isFolder(dir) {
			continue
		}
		if files, err := templateFiles([]string{dir}); err == nil && slices.ContainsFunc(files, looksLikeTemplate) {
			return files, nil
		}
	}
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, _ := filepath.Glob(pattern) // the pattern is well formed
		files = append(files, found...)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return isSpecial(f) || !looksLikeTemplate(f) })
	slices.Sort(files)
	return files, nil
}

var stepsKey = regexp.MustCompile(`(?m)^step_templates:`)

// looksLikeTemplate tells templates from the other YAML files of a project's folder.
func looksLikeTemplate(file string) bool {
	content, err := os.ReadFile(file)
	return err == nil && stepsKey.Match(content)
}

func usualHandlers(templates []string) (dirs []string) {
	dirs = slices.DeleteFunc(slices.Clone(handlerFolders), func(d string) bool { return !isFolder(d) })
	if len(dirs) > 0 {
		return dirs
	}
	for _, file := range templates {
		if beside := filepath.Join(filepath.Dir(file), "handlers"); isFolder(beside) && !slices.Contains(dirs, beside) {
			dirs = append(dirs, beside)
		}
	}
	return dirs
}
