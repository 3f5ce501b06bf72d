package templates

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LoadDir reads every .yml and .yaml file of a directory and its subdirectories,
// except hidden ones, pipes, sockets and devices. The registry holds the valid templates. The error is a
// [*Problems] that lists every fault of the other files. Two templates with the
// same identity are a fault.
func LoadDir(dir string, opts ...Option) (*Registry, error) {
	registry := NewRegistry()
	all := &Problems{}
	collect := func(err error) {
		var problems *Problems
		if errors.As(err, &problems) {
			all.List = append(all.List, problems.List...)
			if all.cause == nil {
				all.cause = problems.cause
			}
		}
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			all.List = append(all.List, unreadable(path, err))
			all.cause = err
			return nil
		case entry.IsDir():
			if path != dir && strings.HasPrefix(entry.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		case !isTemplateFile(entry.Name()) || isSpecial(path):
			return nil
		}
		files++
		t, err := Load(path, opts...)
		if err == nil {
			err = registry.Add(t)
		}
		collect(err)
		return nil
	})
	if err != nil {
		all.List = append(all.List, unreadable(dir, err))
	}
	if files == 0 && len(all.List) == 0 {
		all.List = append(all.List, Problem{
			File: dir, Message: "the directory has no templates",
			Hint: "Templates are files that end in .yml or .yaml.",
		})
	}
	if len(all.List) > 0 {
		return registry, all
	}
	return registry, nil
}

// isSpecial reports whether the file is none that is read when it is only found: a pipe
// would be read until somebody writes into it.
func isSpecial(path string) bool {
	info, err := os.Stat(path)
	return err == nil && specialKind(info.Mode()) != ""
}

func unreadable(path string, err error) Problem {
	p := Problem{File: path, Message: fmt.Sprintf("the directory cannot be read: %v", err)}
	if errors.Is(err, fs.ErrNotExist) {
		p.Message, p.Hint = "the directory does not exist", "Check the path; it is relative to the current directory."
	}
	return p
}
