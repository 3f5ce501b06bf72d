package main

import (
	"fmt"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// runTask goes on with the task of --task, in the foreground.
func (r *runCommand) runTask(cmd *cobra.Command) (err error) {
	if err := r.checkFlags(cmd); err != nil {
		return err
	}
	for _, flag := range []string{"from", "context", "env", "scratch"} {
		if cmd.Flags().Changed(flag) {
			return errors.WithHintf(errors.Newf("--%s cannot be given with --task: the task is in the database already", flag), "Leave --%s out.", flag)
		}
	}
	ctx := cmd.Context()
	id, err := taskID(fmt.Sprint(r.task))
	if err != nil {
		return err
	}
	db := r.newPool()
	pool, err := db.open(ctx)
	if err != nil {
		return errors.CombineErrors(err, db.close())
	}
	task, err := orchestration.ReadTask(ctx, pool, id)
	if err == nil {
		err = r.mayGoOn(task)
	}
	if err != nil {
		return errors.CombineErrors(err, db.close())
	}
	const beside = "task.yaml" // the handlers are in ./handlers, as beside a template here
	return r.withHandlers(cmd, db, beside, task.Template, func(h *handlersReady) error {
		if err := resolveRecorded(ctx, h.host, fmt.Sprintf("task %d", id), task.Template.Steps...); err != nil {
			return err
		}
		engine, err := r.engine(ctx, h)
		if err != nil {
			return err
		}
		if task.State == orchestration.TaskInError {
			by := operatorFlags{reason: "run --task"}
			err = engine.RetryHere(ctx, id, by.by())
		} else {
			err = engine.Hold(ctx, id)
		}
		if err != nil {
			return errors.CombineErrors(err, engine.Close())
		}
		h.resume(task)
		return errors.CombineErrors(h.follow(ctx, engine, id), engine.Close())
	})
}

// mayGoOn fails if there is nothing to do, or nothing that can be done here.
func (r *runCommand) mayGoOn(t *orchestration.TaskDetail) error {
	switch {
	case t.Template == nil:
		return errors.Newf("the template of task %d cannot be read", t.TaskID)
	case t.State.Final() && t.State != orchestration.TaskInError:
		return errors.WithHintf(errors.Newf("task %d is %s", t.TaskID, t.State), "`tasker-rb tasks show %d` shows it.", t.TaskID)
	}
	return r.results.check(t.Template)
}
