package orchestration

import (
	"context"
	"encoding/json"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// Export is a recorded task as a document that another machine can read: the template,
// the context, and the attempts and results of each step. [Export.Encode] writes the
// document, and [DecodeExport] reads it.
type Export struct {
	// Task is the task without the transitions of its audit. Its template is not nil.
	Task *TaskDetail
	// IdentityKey is the task's, or "".
	IdentityKey string
	// Environment is that of the template.
	Environment string
	// Redacted are the paths whose values were replaced, see [Export.Redact].
	Redacted []string

	template json.RawMessage // as it is stored
}

// exportTaskSQL returns what a [TaskDetail] does not have. $1 is the task.
const exportTaskSQL = `
	select coalesce(k.identity, ''), ` + environmentSQL + `, t.document::text
	from tasker.tasks k join tasker.templates t using (digest) where k.task_id = $1`

// Export reads a task for an export, as it was at one moment. All of it is in memory then,
// large results too. The error is [ErrTaskNotFound] if the task does not exist.
func (e *Engine) Export(ctx context.Context, taskID int64) (*Export, error) {
	x := &Export{Task: &TaskDetail{TaskID: taskID}}
	err := pgx.BeginTxFunc(ctx, e.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := x.Task.read(ctx, tx); err != nil {
			return err
		}
		var document string
		err := tx.QueryRow(ctx, exportTaskSQL, taskID).Scan(&x.IdentityKey, &x.Environment, &document)
		x.template = json.RawMessage(document)
		return err
	})
	if err != nil {
		return nil, notFound(taskID, err)
	}
	if x.Task.Template == nil {
		_, err := templates.Decode(x.template)
		return nil, errors.WithHint(errors.Wrapf(err, "the template of task %d cannot be read", taskID),
			"A later version of this program has written it; use that one.")
	}
	x.Task.Template.Environment = x.Environment
	x.Task.Transitions = nil
	for i := range x.Task.Steps {
		x.Task.Steps[i].Transitions = nil
	}
	return x, nil
}
