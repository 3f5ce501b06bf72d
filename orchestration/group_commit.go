package orchestration

import (
	"context"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

const (
	// maxGroup is the largest number of requests in one commit.
	maxGroup = 64
	// committers is the number of groups that may be in progress at a time. While the
	// server writes one to disk, the next one is gathered and sent.
	committers = 2
	// groupTimeout is how long the server may take for a group. A silent network must not
	// keep results for longer. A request that is sent alone gets twice the time.
	groupTimeout = 4 * time.Second
	// aloneAtOnce is the number of requests of failed groups that are sent at a time.
	aloneAtOnce = 8
	// largeRequest is the size of results from which a success is sent by itself: a group
	// must not wait for it, nor get too large for the server.
	largeRequest = 256 << 10
	// largeAtOnce is the number of such requests that are sent at a time. Each is in memory
	// a few times meanwhile.
	largeAtOnce = 2
)

// groupCommit commits the requests of many steps and tasks together. A request never
// waits for company: the requests that arrive while a group is in progress form the
// next group.
//
// Each request is independent of the others, and must be a compare-and-swap. It is
// sent again if its group failed because of another request, or if the connection was
// lost before the answer arrived.
type groupCommit struct {
	own   *ownBatches
	queue chan groupRequest
	alone chan struct{} // holds a value for each request that is sent alone
	large chan struct{} // the same for large ones
	ended sync.WaitGroup
}

// groupRequest is one request of a group. Each kind has a type: claimRequest,
// outcomeRequest, largeSuccess, permitRequest and sqlRequest.
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
	// again says that the request was sent more than once. Then the last answer may not
	// show what an earlier try has done.
	again bool
	bytes int // of its parameters, if they are many
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
	travelling  []*claimRow // of the same, with the success of a step
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

func newGroupCommit(own *ownBatches) *groupCommit {
	g := &groupCommit{own: own, queue: make(chan groupRequest, maxGroup), alone: make(chan struct{}, aloneAtOnce), large: make(chan struct{}, largeAtOnce)}
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

// commitLarge is commit for a request with so many bytes.
func (g *groupCommit) commitLarge(r groupRequest, bytes int) error {
	r.base().bytes = bytes
	select {
	case g.large <- struct{}{}:
	case <-r.base().ctx.Done():
		return context.Cause(r.base().ctx)
	}
	defer func() { <-g.large }()
	return g.sendUntilAnswered(r)
}

func (g *groupCommit) work() {
	group := make([]groupRequest, 0, maxGroup)
	for first := range g.queue {
		group = g.gather(append(group[:0], first))
		ctx, stop := untilGone(group)
		err := g.send(ctx, group, groupTimeout)
		stop()
		for _, r := range group {
			if err == nil {
				close(r.base().done)
			} else {
				g.sendAlone(r)
			}
		}
	}
}

// sendAlone sends a request of a failed group by itself, so that it gets an answer of
// its own. It does not wait for that: one statement that waits for a lock must not hold
// up the others, nor the groups to come.
func (g *groupCommit) sendAlone(r groupRequest) {
	g.ended.Go(func() {
		defer close(r.base().done)
		r.base().again = true
		r.base().err = g.sendUntilAnswered(r)
	})
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
func (g *groupCommit) send(ctx context.Context, group []groupRequest, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
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
	err := g.own.sendOften(ctx, &batch)
	if errors.Is(err, context.DeadlineExceeded) {
		g.own.pool.Reset() // the other connections may be as silent as this one
	}
	return err
}

// sendUntilAnswered repeats the request until it has an answer or its context ends.
func (g *groupCommit) sendUntilAnswered(r groupRequest) error {
	ctx := r.base().ctx
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := g.sendOne(ctx, r)
		silent := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
		if err == nil || !silent && !sqlsession.Passing(err) {
			return err
		}
		r.base().again = true
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// sendOne sends the request once it has its turn. The requests take turns with each try,
// so that some which wait for locks do not keep the others out.
func (g *groupCommit) sendOne(ctx context.Context, r groupRequest) error {
	select {
	case g.alone <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-g.alone }()
	return g.send(ctx, []groupRequest{r}, 2*groupTimeout+transferTime(r.base().bytes))
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
