package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps/rubytest"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// kill runs a task in a process of its own, which dies of SIGKILL where the order says. It
// reports whether it did; otherwise the task has ended there, or waits.
func (t *testCommand) kill(cmd *cobra.Command, address string) func(context.Context, rubytest.Kill) (bool, error) {
	here, _ := os.Getwd() // the suite may go elsewhere; "" follows it
	return func(ctx context.Context, k rubytest.Kill) (bool, error) {
		order, err := json.Marshal(k)
		if err != nil {
			return false, errors.WithStack(err)
		}
		child := exec.CommandContext(ctx, self, t.arguments(cmd, t.suite.paths)...)
		child.Env = append(os.Environ(), roleVariable+"="+killRole, databaseURL+"="+address)
		child.Dir = here
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		child.Stdin = bytes.NewReader(order)
		var said bytes.Buffer
		child.Stdout, child.Stderr = os.Stderr, &said
		runtime.LockOSThread() // Pdeathsig comes when the thread ends that has started the child
		defer runtime.UnlockOSThread()
		if err := child.Start(); err != nil {
			return false, errors.Wrap(err, "starting the process that is to be killed")
		}
		err = child.Wait()
		if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL && ctx.Err() == nil {
			return true, nil
		}
		return false, errors.Wrapf(err, "the process that was to be killed: %s", strings.TrimSpace(said.String()))
	}
}

// dieHere is the other half of kill: what that process does.
func (t *testCommand) dieHere(cmd *cobra.Command, l testLayout) (err error) {
	var k rubytest.Kill
	if err := json.NewDecoder(cmd.InOrStdin()).Decode(&k); err != nil {
		return errors.Wrap(err, "the order for this process")
	}
	ctx, end := context.WithCancel(cmd.Context())
	defer end()
	log := slog.New(newStepLog(cmd.ErrOrStderr()))
	host, err := t.handlers.start(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, host.Close()) }()
	d := &death{fault: k.Fault, stubs: k.Stubs, clock: dyingClock{from: k.Now, began: time.Now(), waits: end}}
	d.next = rubysteps.New(host)
	engine, err := orchestration.Open(ctx, os.Getenv(databaseURL), orchestration.Config{
		Handlers: d, Clock: &d.clock, AroundStatement: d.aroundStatement, OnEvent: d.onEvent, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, engine.Close()) }()
	sql, err := rubysteps.ServeSQL(ctx, host, engine.Pool(), log)
	if err != nil {
		return err
	}
	defer sql.Close(context.WithoutCancel(ctx))
	if err := t.handlers.load(ctx, host, l.handlers); err != nil {
		return err
	}
	if err := d.clock.tell(ctx, host); err != nil {
		return err
	}
	if _, err = engine.Run(ctx, k.TaskID); ctx.Err() != nil && cmd.Context().Err() == nil {
		return nil // the task waits
	}
	return err
}

// death kills this process at a moment of the step's first attempt here.
type death struct {
	next  *rubysteps.Handlers
	fault testbed.Fault
	stubs map[string]json.RawMessage
	clock dyingClock

	met        atomic.Bool // the attempt has begun
	attempt    atomic.Int64
	statements atomic.Int64
}

// ResolveHandler implements orchestration.HandlerResolver. The class of a step that is
// stubbed need not exist.
func (d *death) ResolveHandler(ctx context.Context, class string) (orchestration.StepHandler, error) {
	next, missing := d.next.ResolveHandler(ctx, class)
	if missing != nil && len(d.stubs) == 0 {
		return nil, missing
	}
	handler := orchestration.StepHandlerFunc(func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if results, stubbed := d.stubs[x.StepName]; stubbed {
			return results, nil
		}
		if missing != nil {
			return nil, missing
		}
		return next.HandleStep(ctx, x)
	})
	return orchestration.StepHandlerFunc(func(ctx context.Context, x *orchestration.StepExecution) (json.RawMessage, error) {
		if x.StepName != d.fault.Step || !d.met.CompareAndSwap(false, true) {
			return handler.HandleStep(ctx, x)
		}
		d.attempt.Store(int64(x.Attempt))
		if d.fault.At == testbed.Before || d.fault.At == testbed.AtBegin {
			die()
		}
		results, err := handler.HandleStep(ctx, x)
		if d.fault.At == testbed.During || d.fault.At == testbed.AtCommit && d.fault.Side != testbed.SideAfter {
			die()
		}
		return results, err
	}), nil
}

// ThreadsOf implements orchestration.Threaded.
func (d *death) ThreadsOf(class string) *orchestration.Threads { return d.next.ThreadsOf(class) }

func (d *death) aroundStatement(x *orchestration.StepExecution, _ string) (after func(orchestration.TracedStatement), err error) {
	if d.fault.At != testbed.AtStatement || !d.dies(x.StepName, x.Attempt) || d.statements.Add(1) != int64(max(d.fault.Number, 1)) {
		return nil, nil
	}
	if d.fault.Side != testbed.SideAfter {
		die()
	}
	return func(orchestration.TracedStatement) { die() }, nil
}

func (d *death) onEvent(e orchestration.Event) {
	switch e.Kind {
	case orchestration.EventStepCompleted, orchestration.EventStepRetrying, orchestration.EventStepFailed:
		if (d.fault.At == testbed.After || d.fault.At == testbed.AtCommit) && d.dies(e.Step, e.Attempt) {
			die()
		}
	}
}

// dies reports whether this is the attempt in which the process dies.
func (d *death) dies(step string, attempt int) bool {
	return d.met.Load() && step == d.fault.Step && int64(attempt) == d.attempt.Load()
}

// die does not return.
func die() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

// dyingClock goes on from the time of the test. Instead of waiting for a task it ends the
// process: the test goes on with it.
type dyingClock struct {
	from  time.Time
	began time.Time
	waits func()
	once  sync.Once
}

// tell has Ruby read this clock.
func (c *dyingClock) tell(ctx context.Context, host *rubyhost.Host) error {
	if err := host.Require(ctx, "tasker/testing/clock"); err != nil {
		return err
	}
	for _, call := range []struct {
		method string
		given  []any
	}{{"install", nil}, {"set", []any{c.Now().UnixMicro()}}} {
		method, err := host.Method(ctx, "Tasker::Testing::Clock."+call.method)
		if err != nil {
			return err
		}
		if _, err := method.Call(ctx, call.given...); err != nil {
			return err
		}
	}
	return nil
}

// Now implements orchestration.Clock.
func (c *dyingClock) Now() time.Time { return c.from.Add(time.Since(c.began)) }

// At implements orchestration.Clock.
func (c *dyingClock) At(t time.Time, w orchestration.Wait, f func()) (stop func()) {
	if w == orchestration.TaskWait && t.After(c.Now()) {
		c.once.Do(c.waits)
	}
	timer := time.AfterFunc(t.Sub(c.Now()), f)
	return func() { timer.Stop() }
}
