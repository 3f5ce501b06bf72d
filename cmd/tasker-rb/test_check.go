package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// self is this executable, even if its file has been replaced.
const self = "/proc/self/exe"

// testCheck is a process that checks the templates, and that their handler classes exist.
// It is one of its own because this one must load the handlers later: a suite that measures
// its coverage begins to measure in its helper.
type testCheck struct {
	cmd      *exec.Cmd
	address  io.WriteCloser // takes the address of the database, when it is up
	messages bytes.Buffer
	output   bytes.Buffer // of --output json: its last line is an error
	document bool
}

// startCheck starts the check. It is nil if there is nothing to check.
func (t *testCommand) startCheck(ctx context.Context, args []string, l testLayout) (*testCheck, error) {
	if len(l.handlers) == 0 && len(l.templates) == 0 {
		return nil, nil
	}
	c := &testCheck{cmd: childCommand(ctx, args, checkRole), document: t.output == "json"}
	c.cmd.Stderr = &c.messages
	if c.document {
		c.cmd.Stdout = &c.output
	}
	var err error
	if c.address, err = c.cmd.StdinPipe(); err != nil {
		return nil, errors.WithStack(err)
	}
	return c, errors.Wrap(c.cmd.Start(), "starting the check of templates and handlers")
}

// childCommand is a process of this command. The end of ctx interrupts it.
func childCommand(ctx context.Context, args []string, role string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// finish tells the check where the database is, and waits for its end.
func (c *testCheck) finish(ctx context.Context, address string) error {
	if c == nil {
		return nil
	}
	_, err := io.WriteString(c.address, address+"\n")
	_ = c.address.Close() // it may have ended already
	if waitErr := c.cmd.Wait(); waitErr == nil {
		return nil
	} else if ctx.Err() != nil {
		return errors.WithStack(ctx.Err())
	} else if c.messages.Len() == 0 {
		return errors.CombineErrors(errors.Wrap(waitErr, "checking templates and handlers"), err)
	}
	if c.document { // before it, the handlers may have printed something
		said := bytes.TrimSpace(c.output.Bytes())
		fmt.Printf("%s\n", said[bytes.LastIndexByte(said, '\n')+1:])
	}
	_, _ = os.Stderr.Write(c.messages.Bytes())
	return &exitError{exitBadInput}
}

// end ends a check that nobody waits for any more.
func (c *testCheck) end() {
	if c != nil && c.cmd.ProcessState == nil {
		_ = c.address.Close()
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}

// checkHere is the check itself.
func (t *testCommand) checkHere(cmd *cobra.Command, l testLayout) (err error) {
	ctx := cmd.Context()
	loaded, err := loadEach(ctx, l.templates)
	if err != nil {
		return err
	}
	found := loaded.found
	if len(l.handlers)+len(t.handlers.requires) == 0 {
		err := errors.Newf("there is no folder %s, and none called handlers beside the templates", strings.Join(handlerFolders, " or "))
		return errors.CombineErrors(listed(found), errors.WithHint(err, "Say where the handlers are with --handlers DIR."))
	}
	log := slog.New(newStepLog(cmd.ErrOrStderr()))
	host, err := t.handlers.start(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	address, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil {
		return errors.Wrap(err, "the database did not start")
	}
	db := &lazyPool{db: &database{url: strings.TrimSpace(address)}, migrate: true, size: 4}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	if db.sql, err = rubysteps.ServeLazySQL(ctx, host, db.open, log); err != nil {
		return err
	}
	if err := setEnvironment(ctx, host, db.db.url); err != nil {
		return err
	}
	switch err := t.handlers.load(ctx, host, l.handlers); {
	case err == nil:
	case wantsTables(err):
		return listed(found)
	case len(found) == 0:
		return err
	default:
		broken, _, surveyErr := lintFiles(ctx, host, relative(l.handlers), l.handlers)
		if surveyErr != nil || len(broken) == 0 { // what --require names, or a whole folder
			return errors.CombineErrors(listed(found), err)
		}
		return listed(append(found, broken...))
	}
	var problems *templates.Problems
	if err := resolveHandlers(ctx, host, loaded.withHandlers()...); errors.As(err, &problems) {
		found = append(found, problems.List...)
	} else if err != nil {
		return err
	}
	return listed(found)
}

func listed(found []templates.Problem) error {
	if len(found) == 0 {
		return nil
	}
	return &templates.Problems{List: found}
}

var missingTable = regexp.MustCompile(`relation ".*" does not exist`)

// wantsTables reports whether a file did not load because it looks at a table, as models
// do. The suite's helper may be what makes the table.
func wantsTables(err error) bool {
	var ruby *rubyhost.Error
	return errors.As(err, &ruby) && missingTable.MatchString(ruby.Message)
}
