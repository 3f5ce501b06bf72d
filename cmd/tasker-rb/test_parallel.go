package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
)

// testPart is a share of the suite, which a process of its own runs.
type testPart struct {
	paths    []string
	size     int64 // of the files, in bytes
	database string
	summary  string // the file of the numbers

	output  bytes.Buffer
	code    int
	numbers *testNumbers // nil if the process did not write them
}

// testNumbers are what a process has run, as tasker/host/suite.rb writes them.
type testNumbers struct {
	Examples int `json:"examples"`
	Failures int `json:"failures"`
	Pending  int `json:"pending"`
}

// runParts runs the suite in several processes, each with a database of its own.
func (t *testCommand) runParts(cmd *cobra.Command, l testLayout) (err error) {
	ctx, began := cmd.Context(), time.Now()
	parts := t.deal()
	if len(parts) <= 1 {
		if t.output == "json" {
			return t.runAndSay(cmd, l)
		}
		return t.runHere(cmd, l, processRole{})
	}
	check, err := t.startCheck(ctx, os.Args[1:], l)
	if err != nil {
		return err
	}
	defer check.end()
	db, err := t.openTestDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	scratch, err := db.scratch(ctx)
	if err != nil {
		return err
	}
	remove, err := db.copies(ctx, parts)
	defer func() { err = errors.CombineErrors(err, remove()) }()
	if err != nil {
		return err
	}
	if err := check.finish(ctx, scratch); err != nil {
		return err
	}
	dir, err := placeForNumbers()
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, errors.WithStack(os.RemoveAll(dir))) }()
	for i, p := range parts {
		p.summary = filepath.Join(dir, strconv.Itoa(i+1))
	}
	if err := t.start(cmd, parts); err != nil {
		return err
	}
	return t.sumUp(cmd, parts, time.Since(began))
}

// deal deals the files out evenly, by their size: the largest first, each to the part that
// has least.
func (t *testCommand) deal() []*testPart {
	sizes := map[string]int64{}
	for _, path := range t.suite.paths {
		files := []string{path}
		if isFolder(path) {
			files = slices.DeleteFunc(slices.Clone(t.suite.files), func(f string) bool { return !isBelow(f, path) })
		}
		for _, f := range files {
			sizes[f] = 1
			if info, err := os.Stat(withoutPlace(f)); err == nil {
				sizes[f] += info.Size()
			}
		}
	}
	paths := make([]string, 0, len(sizes))
	for p := range sizes {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b)) })
	parts := make([]*testPart, min(t.parallel, len(paths)))
	for i := range parts {
		parts[i] = &testPart{}
	}
	for _, p := range paths {
		least := slices.MinFunc(parts, func(a, b *testPart) int { return cmp.Compare(a.size, b.size) })
		least.paths = append(least.paths, p)
		least.size += sizes[p]
	}
	for _, part := range parts {
		slices.Sort(part.paths)
	}
	return parts
}

// isBelow reports whether a path is in a folder or below it.
func isBelow(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

// start runs the parts to their end, and prints the output of each when it ends. ^C is
// passed on to them.
func (t *testCommand) start(cmd *cobra.Command, parts []*testPart) error {
	ctx := cmd.Context()
	again, _ := drains(ctx)
	alive, stillHere, err := os.Pipe() // the parts end when this process does
	if err != nil {
		return errors.WithStack(err)
	}
	defer func() { _, _ = alive.Close(), stillHere.Close() }()
	var printing sync.Mutex
	var running sync.WaitGroup
	over := make(chan struct{})
	var processes []*os.Process
	for i, p := range parts {
		child := childCommand(context.WithoutCancel(ctx), t.arguments(cmd, p.paths), partRole+p.summary)
		child.Env = append(slices.DeleteFunc(child.Env, func(v string) bool { return strings.HasPrefix(v, sessionURL+"=") }),
			databaseURL+"="+p.database, "TEST_ENV_NUMBER="+numberOf(i))
		child.Stdout, child.Stderr = &p.output, &p.output
		child.ExtraFiles = []*os.File{alive}
		child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's ^C comes from here only
		began := time.Now()
		if err := child.Start(); err != nil {
			for _, started := range processes {
				_ = started.Kill()
			}
			running.Wait()
			return errors.Wrap(err, "starting a part of the suite")
		}
		processes = append(processes, child.Process)
		running.Go(func() {
			_ = child.Wait() // ProcessState has it
			p.finished(child.ProcessState)
			printing.Lock()
			defer printing.Unlock()
			p.print(cmd.OutOrStdout(), fmt.Sprintf("Part %d of %d", i+1, len(parts)), time.Since(began))
		})
	}
	go func() { running.Wait(); close(over) }()
	for _, told := range []<-chan struct{}{ctx.Done(), again} {
		select {
		case <-told:
			for _, p := range processes {
				_ = p.Signal(syscall.SIGINT) // it may have ended
			}
		case <-over:
			return nil
		}
	}
	<-over
	return nil
}

// numberOf is what the first part, and the later ones, have in TEST_ENV_NUMBER. The gem
// parallel_tests began it, and suites read it for names of files and ports.
func numberOf(i int) string {
	if i == 0 {
		return ""
	}
	return strconv.Itoa(i + 1)
}

func (p *testPart) finished(state *os.ProcessState) {
	if p.code = state.ExitCode(); p.code < 0 { // by a signal
		p.code = exitTaskFailed
		fmt.Fprintf(&p.output, "error: the process ended by itself: %v\n", state)
	}
	p.numbers = readTestNumbers(p.summary)
}

func (p *testPart) print(w io.Writer, heading string, took time.Duration) {
	fmt.Fprintf(w, "── %s (%.1f s): %s\n", heading, took.Seconds(), strings.Join(p.paths, " "))
	text := bytes.Trim(p.output.Bytes(), "\n")
	fmt.Fprintf(w, "%s\n\n", text)
}

// sumUp prints one line for all parts. The exit code is the worst of theirs.
func (t *testCommand) sumUp(cmd *cobra.Command, parts []*testPart, took time.Duration) error {
	var all testNumbers
	code, broken := exitOK, 0
	for _, p := range parts {
		code = max(code, p.code)
		if p.numbers == nil || p.numbers.Examples == 0 && p.code != exitOK {
			broken++
			continue
		}
		all.Examples += p.numbers.Examples
		all.Failures += p.numbers.Failures
		all.Pending += p.numbers.Pending
	}
	line := fmt.Sprintf("%d processes: %s, %s", len(parts), plural(all.Examples, t.suite.framework.example), plural(all.Failures, "failure"))
	if all.Pending > 0 {
		line += fmt.Sprintf(", %d %s", all.Pending, t.suite.framework.pending)
	}
	if broken > 0 {
		line += fmt.Sprintf(", and %s without any test run", plural(broken, "process"))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s, in %.1f s\n", line, took.Seconds())
	if cmd.Context().Err() != nil {
		code = exitInterrupted
	}
	if t.output == "json" {
		if err := printTestNumbers(cmd.OutOrStdout(), t.suite.framework.name, all, code); err != nil {
			return err
		}
	}
	if code != exitOK {
		return &exitError{code}
	}
	return nil
}
