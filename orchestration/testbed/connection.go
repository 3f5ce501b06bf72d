package testbed

import (
	"context"
	"fmt"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// backendSQL asks for the process of the server that runs the step's transaction.
const backendSQL = "select pg_backend_pid() /* for a fault */"

// begin begins the step's transaction if the attempt is to lose it at the commit.
func (a *attempt) begin(ctx context.Context) error {
	a.mu.Lock()
	f := a.fault
	a.mu.Unlock()
	if f == nil || !(f.Kind == Connection && f.At == During || f.Kind == CommitAnswer) {
		return nil
	}
	_, err := a.backend(ctx)
	return err
}

// loseConnection ends the connection of the step's transaction.
func (a *attempt) loseConnection(ctx context.Context) error {
	pid, err := a.backend(ctx)
	if err == nil {
		a.i.bed.endBackends("pid = $1", pid)
	}
	return err
}

// loseAnswer has the answer to the commit get lost.
func (a *attempt) loseAnswer(ctx context.Context) error {
	pid, err := a.backend(ctx)
	if err != nil {
		return err
	}
	if !a.i.gate.loseCommit(pid) {
		return errors.WithHint(errors.New("testbed: the answer to a commit cannot be lost, because the connection is encrypted"),
			"Add sslmode=disable to the address of the test database.")
	}
	return nil
}

// backend returns the process of the server that runs the step's transaction. It begins the
// transaction, unless a statement has done so.
func (a *attempt) backend(ctx context.Context) (pid uint32, err error) {
	session := a.x.SQL()
	if tx, opened := a.x.Tx(ctx); opened == nil {
		err = tx.QueryRow(ctx, backendSQL).Scan(&pid)
	} else {
		var r *sqlsession.Result
		if r, err = session.Exec(ctx, &sqlsession.Statement{SQL: backendSQL}); err == nil {
			_, err = fmt.Sscan(string(r.Values), &pid)
		}
	}
	return pid, errors.Wrap(err, "testbed: no connection to lose")
}
