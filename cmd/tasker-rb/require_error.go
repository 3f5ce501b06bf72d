package main

import (
	"path/filepath"
	"strings"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// requireError is the error of a --require. If the feature itself is not there, nothing was
// loaded.
func requireError(err error, feature string) error {
	path := feature
	if absolute, failed := filepath.Abs(feature); failed == nil && strings.HasPrefix(feature, "./") { // as Ruby is asked for it
		path = absolute
	}
	var ruby *rubyhost.Error
	if !errors.As(err, &ruby) || !ruby.IsA("LoadError") {
		return errors.WithHintf(err, "It was loaded because of --require %s.", feature)
	}
	message, near, _ := strings.Cut(ruby.Message, "\n")
	if message != "cannot load such file -- "+path {
		return errors.WithHintf(err, "It was loaded because of --require %s.", feature)
	}
	missing := errors.Newf("--require %s: there is no such feature, gem or file", feature)
	here := "./" + strings.TrimSuffix(feature, ".rb") + ".rb"
	near, suggested := strings.CutPrefix(strings.TrimSpace(near), "Did you mean?")
	switch {
	case strings.HasPrefix(feature, ".") || filepath.IsAbs(feature):
		return errors.WithHint(missing, "Correct the path, which begins in the working folder.")
	case exists(here):
		return errors.WithHintf(missing, "For the file in this folder give --require %s.", here)
	case suggested:
		return errors.WithHintf(missing, "Did you mean %s?", strings.Join(strings.Fields(near), " or "))
	default:
		return errors.WithHint(missing, "Install the gem it is in, or correct the name. -I DIR names a folder to look in, and --require ./FILE a file.")
	}
}
