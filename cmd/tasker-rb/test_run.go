package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// runHere runs the suite in this process. Three things begin at the same time: the
// database, the check in another process, and Ruby with the framework.
func (t *testCommand) runHere(cmd *cobra.Command, l testLayout, role processRole) (err error) {
	ctx := cmd.Context()
	log := slog.New(newStepLog(cmd.ErrOrStderr()))
	type opened struct {
		db      *database
		scratch string
		err     error
	}
	opening := make(chan opened, 1)
	go func() {
		var o opened
		if o.db, o.err = t.openTestDatabase(ctx); o.err == nil && !role.part {
			o.scratch, o.err = o.db.scratch(ctx)
		}
		opening <- o
	}()
	var check *testCheck
	if !role.part { // the command that has started this part has checked
		if check, err = t.startCheck(ctx, os.Args[1:], l); err != nil {
			return err
		}
		defer check.end()
	}
	host, bootErr := t.bootFramework(ctx, log)
	if host != nil {
		defer func() { err = errors.CombineErrors(err, host.Close()) }()
	}
	o := <-opening
	db := &lazyPool{db: o.db, migrate: true, size: programConnections}
	defer func() { err = errors.CombineErrors(err, db.close()) }()
	if err := errors.CombineErrors(bootErr, o.err); err != nil {
		return err
	}
	if err := check.finish(ctx, o.scratch); err != nil {
		return err
	}
	closeTests, err := t.serveTests(cmd, host, o.db, l, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, closeTests()) }()
	if db.sql, err = rubysteps.ServeLazySQL(ctx, host, db.open, log); err != nil {
		return err
	}
	if err := t.prepareSuite(ctx, host, o.db.url, l); err != nil {
		return err
	}
	return t.runSuite(ctx, host, role)
}

// bootFramework boots Ruby and loads the framework.
func (t *testCommand) bootFramework(ctx context.Context, log *slog.Logger) (*rubyhost.Host, error) {
	host, err := t.handlers.start(log)
	if err != nil {
		return nil, err
	}
	if err := host.Require(ctx, "tasker/host/suite"); err != nil {
		return host, err
	}
	prepare, err := host.Method(ctx, "Tasker::Host::Suite.prepare")
	if err != nil {
		return host, err
	}
	installed, err := rubyhost.Call[bool](ctx, prepare, t.suite.framework.name)
	if err == nil && !installed {
		err = t.suite.framework.missing(t.handlers.gemfile)
	}
	return host, err
}

// setEnvironment puts the address of the database under test into the environment, for
// connections of the program's own. Ruby sets it, because Ruby code may be reading it.
func setEnvironment(ctx context.Context, host *rubyhost.Host, address string) error {
	if err := host.Require(ctx, "tasker/host/suite"); err != nil {
		return err
	}
	set, err := host.Method(ctx, "Tasker::Host::Suite.environment")
	if err != nil {
		return err
	}
	_, err = set.Call(ctx, map[string]any{databaseURL: forRuby(address)})
	return err
}

// prepareSuite gives the suite its environment, what --require names, and the handlers,
// which are loaded when the suite first needs them.
func (t *testCommand) prepareSuite(ctx context.Context, host *rubyhost.Host, address string, l testLayout) error {
	if err := setEnvironment(ctx, host, address); err != nil {
		return err
	}
	if err := t.handlers.load(ctx, host, nil); err != nil {
		return err
	}
	if len(l.handlers) == 0 {
		return nil
	}
	postpone, err := host.Method(ctx, "Tasker::Host::Suite.postpone")
	if err != nil {
		return err
	}
	_, err = postpone.Call(ctx, l.handlers)
	return err
}

// runSuite runs the suite to its end. ^C stops it as the framework does, and a second one
// interrupts the code under way.
func (t *testCommand) runSuite(ctx context.Context, host *rubyhost.Host, role processRole) error {
	run, err := host.Method(ctx, "Tasker::Host::Suite.run")
	if err != nil {
		return err
	}
	interrupt, err := host.Method(ctx, "Tasker::Host::Suite.interrupt")
	if err != nil {
		return err
	}
	again, _ := drains(ctx)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ended:
			return
		case <-ctx.Done():
			_, _ = interrupt.Call(running) // it only fails if the suite has ended
		}
		select {
		case <-ended:
		case <-again:
			cancel()
		}
	}()
	var summary *string
	if role.summary != "" {
		summary = &role.summary
	}
	code, err := rubyhost.Call[int](running, run, append([]string{}, t.suite.paths...), append([]string{}, t.options...), summary, role.part)
	close(ended)
	<-watched
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted}
	case err != nil:
		return err
	case code != exitOK:
		return &exitError{code}
	default:
		return nil
	}
}
