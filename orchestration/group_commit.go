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
	// maxGroup is the largest number of requests in one commit.
	maxGroup = 64
	// committers is the number of groups that may be in progress at a time. While the
	// server writes one to disk, the next one is gathered and sent.
	committers = 2
	// groupTimeout is how long a group may take.
	groupTimeout = 30 * time.Second
)

// groupCommit commits the requests of many steps and tasks together. A request never
// waits for company: the requests that arrive while a group is in progress form the
// next group.
//
// Each request is independent of the others, and must be a compare-and-swap. It is
// sent again if its group failed because of another request, or if the connection was
// lost before the answer arrived.
type groupCommit struct {
	pool  *pgxpool.Pool
	queue chan groupRequest
	ended sync.WaitGroup
}

// groupRequest is one request of a group. Each kind has a type: claimRequest,
// outcomeRequest, permitRequest and sqlRequest.
type groupRequest interface {
	// base returns what all kinds have.
	base() *requestBase
	// join adds the request to the others of its kind, and clears its answer.
	join(g *requestsByKind)
}

// requestBase is the part that every groupRequest embeds.
type requestBase struct {
	ctx  context.Context //nolint:containedctx // the caller's; it limits how long to try
	err  error
	done chan struct{}
}

func (b *requestBase) base() *requestBase { return b }

// requestsByKind is a group in the order of its statements. All requests of a kind share
// one statement, except that each sqlRequest has its own.
type requestsByKind struct {
	outcomes    []*outcomeRequest
	outcomeRows []*outcomeRow
	freed       []*permitRequest
	claims      []*claimRequest
	claimRows   []*claimRow // of steps without a concurrency key
	permitRows  []*claimRow // of steps with one
	sql         []*sqlRequest
}

// sqlRequest is a statement of its own.
type sqlRequest struct {
	requestBase
	sql  string
	args []any
	read func(pgx.Rows) error // may be called again after a failure
}

func (r *sqlRequest) join(g *requestsByKind) { g.sql = append(g.sql, r) }

func newGroupCommit(pool *pgxpool.Pool) *groupCommit {
	g := &groupCommit{pool: pool, queue: make(chan groupRequest, maxGroup)}
	for range committers {
		g.ended.Go(g.work)
	}
	return g
}

// close must come after the last commit.
func (g *groupCommit) close() {
	close(g.queue)
	g.ended.Wait()
}

// exec runs the statement and returns when it is committed. read gets the rows. It
// must start anew with each call.
func (g *groupCommit) exec(ctx context.Context, read func(pgx.Rows) error, sql string, args ...any) error {
	return g.commit(&sqlRequest{requestBase: requestBase{ctx: ctx}, sql: sql, args: args, read: read})
}

// commit returns when the request is committed. The request then has its answer.
func (g *groupCommit) commit(r groupRequest) error {
	b := r.base()
	b.done = make(chan struct{})
	g.queue <- r
	<-b.done
	return b.err
}

func (g *groupCommit) work() {
	group := make([]groupRequest, 0, maxGroup)
	for first := range g.queue {
		group = g.gather(append(group[:0], first))
		ctx, stop := untilGone(group)
		if err := g.send(ctx, group); err != nil {
			g.sendOneByOne(group)
		}
		stop()
		for _, r := range group {
			close(r.base().done)
		}
	}
}

// gather adds the requests that are already queued.
func (g *groupCommit) gather(group []groupRequest) []groupRequest {
	for len(group) < maxGroup {
		select {
		case r, ok := <-g.queue:
			if !ok {
				return group
			}
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

// send runs the requests in one round trip and one commit. The order of the
// statements is the order in which all groups take their locks.
func (g *groupCommit) send(ctx context.Context, group []groupRequest) error {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	var kinds requestsByKind
	for _, r := range group {
		r.join(&kinds)
	}
	var batch pgx.Batch
	queueKeyLocks(&batch, &kinds)
	queueOutcomes(&batch, &kinds)
	queueFreedPermits(&batch, &kinds)
	queueClaims(&batch, &kinds)
	queuePermitClaims(&batch, &kinds)
	for _, r := range kinds.sql {
		batch.Queue(r.sql, r.args...).Query(r.read)
	}
	return g.pool.SendBatch(ctx, &batch).Close()
}

// sendOneByOne sends each request of a failed group alone, so that each gets an
// answer of its own.
func (g *groupCommit) sendOneByOne(group []groupRequest) {
	for _, r := range group {
		r.base().err = g.sendUntilAnswered(r)
	}
}

// sendUntilAnswered repeats the request until it has an answer or its context ends.
func (g *groupCommit) sendUntilAnswered(r groupRequest) error {
	ctx := r.base().ctx
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := g.send(ctx, []groupRequest{r})
		if err == nil || !transient(err) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// transient reports whether one of the engine's own statements is to be sent again, as
// after a lost connection, a restart of the server or a deadlock. It does not decide
// about the retries of steps; sqlsession's Error.Passing is another list, for handlers
// in Go.
func transient(err error) bool {
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

// connectionLost reports whether the server did not answer.
func connectionLost(err error) bool {
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded) ||
		errors.IsAny(err, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// rowCount returns a read function that counts the rows.
func rowCount(n *int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		*n = 0
		for rows.Next() {
			*n++
		}
		return rows.Err()
	}
}
