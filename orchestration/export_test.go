package orchestration

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// HeartbeatEvery is the pause between two heartbeats.
const HeartbeatEvery = heartbeatEvery

// ResultMemory returns the bytes of results that count as in memory: those of running
// steps, and those that are not in the database yet.
func (e *Engine) ResultMemory() (held, returned int) {
	e.memory.mu.Lock()
	defer e.memory.mu.Unlock()
	return e.memory.held, e.memory.returned
}

// AddReturned pretends that handlers have returned so many more bytes.
func (e *Engine) AddReturned(bytes int) { e.memory.handOver(nil, 0, bytes) }

// SetStopTimeout changes how long the engine's own statements may continue after it
// was told to stop.
func (e *Engine) SetStopTimeout(d time.Duration) { e.stopTimeout = d }

// SetSuspects changes how long a suspect waits until nothing else runs, and when it tries
// again.
func (e *Engine) SetSuspects(patience, pause time.Duration) {
	e.company.patience, e.company.pause = patience, pause
}

// TakeForQuick lets handlers that take so long count as quick, whatever the machine's load
// is. 0 puts that back.
func (t *Threads) TakeForQuick(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.aheadTime, t.veryQuick = max(d, aheadTime), max(d, veryQuick)
}

// InQueue is how many handlers wait in the threads' own queue.
func (t *Threads) InQueue() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.running-t.n, 0)
}

// Admissions says what the engine counts for steps that run, and what waits. Nothing is left
// when nothing runs.
func (e *Engine) Admissions(t *Threads) string {
	c := &e.company
	c.mu.Lock()
	defer c.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	e.memory.mu.Lock()
	defer e.memory.mu.Unlock()
	return fmt.Sprint("steps ", c.steps, c.alone, " suspects ", len(c.suspects), " threads ", t.admitted, t.running, len(t.starting), len(t.line),
		" handlers ", e.handlers.Load(), " memory ", e.memory.held, e.memory.returned, len(e.memory.waiting))
}

// NoAdmissions is what Admissions says when nothing runs.
const NoAdmissions = "steps 0 false suspects 0 threads 0 0 0 0 handlers 0 memory 0 0 0"

// WaitsForRoom reports whether a task waits for room for results.
func (e *Engine) WaitsForRoom() bool {
	e.memory.mu.Lock()
	defer e.memory.mu.Unlock()
	return len(e.memory.waiting) > 0
}

// FailToEndBackends would end the backends of a dead engine, but nothing reaches the server.
func (e *Engine) FailToEndBackends(ctx context.Context, applicationName string) {
	dead := []deadEngine{{number: 1, applicationName: applicationName}}
	e.endBackends(ctx, dead, func(context.Context, *pgx.Batch) error { return errors.New("on purpose") })
}

// ExecAlone runs a statement that commits as a request of a failed group does, and sends
// the error when it has an answer.
func (e *Engine) ExecAlone(ctx context.Context, sql string, args ...any) <-chan error {
	var n int
	r := &sqlRequest{requestBase: requestBase{ctx: ctx, done: make(chan struct{})}, sql: sql, args: args, read: rowCount(&n)}
	e.group.sendAlone(r)
	answered := make(chan error, 1)
	go func() {
		<-r.done
		answered <- r.err
	}()
	return answered
}

// InHand is how many tasks the engine's workers have in hand, and how many attempts it
// runs or is about to claim.
func (e *Engine) InHand() int {
	e.watchers.mu.Lock()
	defer e.watchers.mu.Unlock()
	return len(e.inHand.all()) + len(e.watchers.attempts)
}
