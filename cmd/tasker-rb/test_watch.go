package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// runAndWatch runs the suite, and then what the saved files concern, each time in a process
// of its own, until ^C.
func (t *testCommand) runAndWatch(cmd *cobra.Command, l testLayout) error {
	ctx := cmd.Context()
	again, _ := drains(ctx)
	given := t.suite.given
	paths := given
	for {
		before := t.watched(l)
		if err := t.runOnce(cmd, paths, again); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return &exitError{exitInterrupted}
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "\nwatching %s; ^C ends\n", plural(len(before), "file"))
		changed := awaitChange(ctx, func() map[string]fileState { return t.watched(l) }, before)
		if len(changed) == 0 {
			return &exitError{exitInterrupted}
		}
		if s, err := chooseSuite(given); err == nil {
			t.suite = s
		}
		if now, err := t.layout(); err == nil {
			l = now
		}
		if paths = t.concernedBy(l, changed); paths == nil {
			paths = given
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "changed: %s; running %s\n\n", strings.Join(changed, " "), described(paths))
	}
}

func described(paths []string) string {
	if len(paths) == 0 {
		return "the whole suite"
	}
	return strings.Join(paths, " ")
}

// runOnce runs the paths in a process that has this one's terminal. Its exit code is only
// for its user.
func (t *testCommand) runOnce(cmd *cobra.Command, paths []string, again <-chan struct{}) error {
	ctx := cmd.Context()
	args := slices.Insert(t.arguments(cmd, paths), 1, "--output="+t.output)
	if t.parallel > 1 {
		args = slices.Insert(args, 1, fmt.Sprintf("--parallel=%d", t.parallel))
	}
	child := exec.CommandContext(context.WithoutCancel(ctx), self, args...)
	child.Args[0] = os.Args[0]
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, forChild(cmd.OutOrStdout()), cmd.ErrOrStderr()
	if err := child.Start(); err != nil {
		return errors.Wrap(err, "starting the suite")
	}
	over := make(chan struct{})
	go func() {
		_ = child.Wait() // its exit code does not count
		close(over)
	}()
	for _, told := range []<-chan struct{}{ctx.Done(), again} {
		select {
		case <-told:
			if !term.IsTerminal(int(os.Stdin.Fd())) { // a terminal tells the process itself
				_ = child.Process.Signal(syscall.SIGINT)
			}
		case <-over:
			return nil
		}
	}
	<-over
	return nil
}

// watched are the files that matter, with their states: of the suite, of the handlers and
// the templates.
func (t *testCommand) watched(l testLayout) map[string]fileState {
	folders := append([]string{t.suite.framework.folder}, relative(l.handlers)...)
	folders = append(append(folders, t.templates...), templateFolders...)
	for _, path := range t.suite.given {
		if isFolder(path) {
			folders = append(folders, path)
		}
	}
	return filesState(folders, slices.Concat(t.suite.files, l.templates))
}

// relative makes paths below the working folder short again.
func relative(paths []string) []string {
	here, err := os.Getwd()
	if err != nil {
		return paths
	}
	short := slices.Clone(paths)
	for i, p := range paths {
		if rel, err := filepath.Rel(here, p); err == nil && filepath.IsLocal(rel) {
			short[i] = rel
		}
	}
	return short
}

// concernedBy returns the files of the suite that saved files concern: a test itself, and
// for handlers/shop/charge.rb the tests called charge_spec.rb, charge_test.rb or
// test_charge.rb. It returns nil for all.
func (t *testCommand) concernedBy(l testLayout, changed []string) []string {
	concerned := map[string]bool{}
	handlers := relative(l.handlers)
	for _, path := range changed {
		if slices.Contains(t.suite.files, path) {
			concerned[path] = true
			continue
		}
		if !slices.ContainsFunc(handlers, func(dir string) bool { return isBelow(path, dir) }) {
			return nil
		}
		tests := testsOf(path, t.suite.files)
		if len(tests) == 0 {
			return nil
		}
		for _, test := range tests {
			concerned[test] = true
		}
	}
	return slices.Sorted(maps.Keys(concerned))
}

func testsOf(handler string, files []string) []string {
	name := strings.TrimSuffix(filepath.Base(handler), ".rb")
	names := []string{name + "_spec.rb", name + "_test.rb", "test_" + name + ".rb"}
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool { return !slices.Contains(names, filepath.Base(f)) })
}
