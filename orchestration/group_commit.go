package orchestration

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// maxGroup bounds how many statements share a commit.
	maxGroup = 64
	// committers is how many groups may be under way at a time: while one is
	// written to disk, the next one is gathered and sent.
	committers = 2
	// groupTimeout bounds how long a group may take.
	groupTimeout = 30 * time.Second
)

// groupCommit commits the statements of many steps and tasks together. A
// statement waits for nobody: those that arrive while a group is under way are
// the next group. Each stands alone, and must be a compare-and-swap: it is sent
// again when its group failed because of another one, or when the connection
// was lost before the answer came.
type groupCommit struct {
	pool  *pgxpool.Pool
	queue chan *statement
	ended sync.WaitGroup
}

// statement is one of a group: the claims of a task's steps, the outcome of an
// attempt, the keys of which a slot was freed, or SQL of its own.
type statement struct {
	ctx context.Context //nolint:containedctx // it is the call's own, and says how long to try

	claims  []claimRow
	taken   []int64       // the answer: the steps that were claimed
	waiting map[int64]int // and those that found no slot, with how many wait for their key
	outcome *outcomeRow
	// The answer: the claim was still there, and the task ended with the step.
	recorded, ended bool

	freed []string
	at    time.Time // of freed

	sql  string
	args []any
	read func(pgx.Rows) error // may be called again after a failure
	err  error
	done chan struct{}
}

func newGroupCommit(pool *pgxpool.Pool) *groupCommit {
	g := &groupCommit{pool: pool, queue: make(chan *statement, maxGroup)}
	for range committers {
		g.ended.Go(g.work)
	}
	return g
}

// close must come after the last exec.
func (g *groupCommit) close() {
	close(g.queue)
	g.ended.Wait()
}

// exec runs the statement and returns once it is committed. read is given its
// rows and must start anew each time.
func (g *groupCommit) exec(ctx context.Context, read func(pgx.Rows) error, sql string, args ...any) error {
	return g.commit(&statement{ctx: ctx, sql: sql, args: args, read: read})
}

// commit returns once the statement is committed, with its answer in it.
func (g *groupCommit) commit(s *statement) error {
	s.done = make(chan struct{})
	g.queue <- s
	<-s.done
	return s.err
}

func (g *groupCommit) work() {
	group := make([]*statement, 0, maxGroup)
	for first := range g.queue {
		group = g.gather(append(group[:0], first))
		ctx, stop := untilGone(group)
		if err := g.send(ctx, group); err != nil {
			g.one(group)
		}
		stop()
		for _, s := range group {
			close(s.done)
		}
	}
}

// gather adds what is waiting already.
func (g *groupCommit) gather(group []*statement) []*statement {
	for len(group) < maxGroup {
		select {
		case s, ok := <-g.queue:
			if !ok {
				return group
			}
			group = append(group, s)
		default:
			return group
		}
	}
	return group
}

// send runs the statements in one round trip and one commit.
func (g *groupCommit) send(ctx context.Context, group []*statement) error {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	var batch pgx.Batch
	lockKeys(&batch, group)
	queueOutcomes(&batch, group)
	queueFreed(&batch, group)
	queueClaims(&batch, group)
	queueSlotClaims(&batch, group)
	for _, s := range group {
		if s.sql != "" {
			batch.Queue(s.sql, s.args...).Query(s.read)
		}
	}
	return g.pool.SendBatch(ctx, &batch).Close()
}

// one runs each statement of a failed group by itself, so that each gets its
// own answer.
func (g *groupCommit) one(group []*statement) {
	for _, s := range group {
		s.err = g.insist(s)
	}
}

// insist tries until the statement has an answer, or its time is over.
func (g *groupCommit) insist(s *statement) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := g.send(s.ctx, []*statement{s})
		if err == nil || !passing(err) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// passing reports whether one of the engine's own statements is to be sent again: a
// lost connection, a server that restarts, a deadlock. It does not decide about the
// retries of steps; sqlsession's Error.Passing is another list, for handlers in Go.
func passing(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:2] {
		case "08", "40", "53":
			return true
		case "57":
			return pg.Code != "57014" // cancelled: a timeout of the server's
		}
		return false
	}
	return connectionLost(err)
}

// connectionLost reports whether nobody answered.
func connectionLost(err error) bool {
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded) ||
		errors.IsAny(err, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// rowCount is a read that counts.
func rowCount(n *int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		*n = 0
		for rows.Next() {
			*n++
		}
		return rows.Err()
	}
}
