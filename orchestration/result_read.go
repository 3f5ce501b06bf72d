package orchestration

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/templates"
)

const (
	// readsAtOnce is how many large results are read at a time. Each is in memory a few
	// times while it is read.
	readsAtOnce = 2
	// spareAfter is how long a read waits for a connection of the pool.
	spareAfter = 100 * time.Millisecond
	// transferBytes is how many bytes a slow server takes or gives in a second.
	transferBytes = 1 << 20
)

// transferTime is what large results add to the time that a statement may take.
func transferTime(bytes int) time.Duration {
	return time.Duration(bytes) * time.Second / transferBytes
}

// resultReads reads large results for handlers, outside of the transactions of steps: a
// step's own connection may be busy, its transaction failed or under another role.
//
// The connections of the pool may all be in the transactions of steps whose handlers wait
// for results. Then one connection more is opened.
type resultReads struct {
	own     *ownBatches
	garbage *garbage
	turns   chan struct{}

	mu    sync.Mutex
	spare *pgxpool.Pool // of that connection; nil until it is needed
}

func newResultReads(own *ownBatches, g *garbage) *resultReads {
	return &resultReads{own: own, garbage: g, turns: make(chan struct{}, readsAtOnce)}
}

// close must come after the last read.
func (r *resultReads) close() {
	if r.spare != nil {
		r.spare.Close()
	}
}

// acquire returns a connection.
func (r *resultReads) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	soon, cancel := context.WithTimeout(ctx, spareAfter)
	defer cancel()
	conn, err := r.own.pool.Acquire(soon)
	if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return conn, err
	}
	spare, err := r.sparePool()
	if err != nil {
		return nil, err
	}
	return spare.Acquire(ctx)
}

// spareIdle is how long the spare connection stays open after it was needed.
const spareIdle = 10 * time.Second

func (r *resultReads) sparePool() (_ *pgxpool.Pool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spare == nil {
		cfg := r.own.pool.Config()
		cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 1, 0, 0
		cfg.MaxConnIdleTime, cfg.HealthCheckPeriod = spareIdle, spareIdle
		r.spare, err = pgxpool.NewWithConfig(context.Background(), cfg)
	}
	return r.spare, err
}

// resultsSQL returns the results of done steps ($4), each with its place, if the attempt
// that asks has its claim. Otherwise there are no rows. Its parameters: $1 step,
// $2 claimant, $3 attempt.
const resultsSQL = `
	select d.place, a.results::text
	from tasker.steps s, unnest($4::bigint[]) with ordinality as d (step_id, place), lateral (
		select results from tasker.attempts a
		where a.step_id = d.step_id and a.outcome in ('complete', 'resolved_manually') order by attempt desc limit 1) a
	where s.step_id = $1 and s.claimed_by = $2 and s.attempts = $3 and s.state = 'in_progress'`

// read returns the results of steps, in their order. It tries until ctx ends: an outage of
// the database fails no handler.
func (a *claimedAttempt) read(ctx context.Context, ids []int64, bytes int) (documents []json.RawMessage, err error) {
	select {
	case a.reads.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-a.reads.turns }()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		documents, err = a.readOnce(ctx, ids, bytes)
		silent := errors.Is(err, context.DeadlineExceeded)
		if silent && ctx.Err() == nil {
			a.reads.own.pool.Reset() // the other connections may be as silent as this one
		}
		if err == nil || ctx.Err() == nil && !silent && !sqlsession.Passing(err) {
			return documents, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

func (a *claimedAttempt) readOnce(ctx context.Context, ids []int64, bytes int) ([]json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*groupTimeout+transferTime(bytes))
	defer cancel()
	conn, err := a.reads.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	documents := make([]json.RawMessage, len(ids))
	found := 0
	var batch pgx.Batch
	batch.Queue(resultsSQL, a.step, a.claimant, a.number, ids).Query(func(rows pgx.Rows) error {
		for ; rows.Next(); found++ {
			var place int
			var document []byte
			if err := rows.Scan(&place, &document); err != nil {
				return err
			}
			documents[place-1] = document
		}
		return rows.Err()
	})
	if err := a.reads.own.sendOn(ctx, conn, often(&batch)); err != nil {
		return nil, err
	}
	a.reads.garbage.add(bytes)
	if found < len(ids) {
		return nil, errResultsGone
	}
	return documents, nil
}

// errResultsGone is the error of a read that found fewer results than there must be.
var errResultsGone = errors.WithHint(errors.New("the attempt has lost its claim on the step, or the results are not in the database any more"),
	"The task was cancelled, deleted or taken over by another engine meanwhile. This attempt does not count any more: let the handler return.")

// claimedAttempt is an attempt of a step, as its handler reads results for it.
type claimedAttempt struct {
	reads    *resultReads
	memory   *resultMemory
	step     int64
	claimant int64
	number   int

	mu   sync.Mutex
	room int   // taken before the claim, or since
	done int   // bytes read
	seen []int // the steps whose results were read
	over bool
}

// note counts what is about to be read, once, as far as no room was taken for it.
func (a *claimedAttempt) note(step int, bytes int) {
	if bytes == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || slices.Contains(a.seen, step) {
		return
	}
	a.seen = append(a.seen, step)
	a.done += bytes
	if more := a.done - a.room; more > 0 {
		a.room += more
		a.memory.hold(more)
	}
}

// end takes note that the handler has returned results.
func (a *claimedAttempt) end(step *templates.Step, results int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.memory.handOver(step, a.room, results)
}
