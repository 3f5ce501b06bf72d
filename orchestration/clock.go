package orchestration

import (
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Clock says what time it is for an engine, and when a time has come. The engine asks it
// for what falls due: retries, permits, and tasks with a RunAt. The time limits of steps
// and the signs of life of engines are real.
type Clock interface {
	// Now returns the time.
	Now() time.Time
	// At calls f once, in a goroutine of its own, when Now has reached t. stop prevents it,
	// unless it is too late. w says what else can happen until then: a clock of tests may go
	// on to t when nothing can.
	At(t time.Time, w Wait, f func()) (stop func())
}

// Wait says what an engine that waits for a moment does meanwhile.
type Wait int

const (
	// BusyWait means that other steps or tasks go on.
	BusyWait Wait = iota
	// TaskWait means that [Engine.Run] waits, and no step of its task can run before.
	TaskWait
	// WorkerWait means that a worker has no task in hand, and none is due before.
	WorkerWait
)

// soonest is t, or a moment after now if t has passed: a loop that waits must not spin.
func soonest(t, now time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return now.Add(time.Millisecond)
}

// databaseClock is the database's time, carried forward by this machine's monotonic
// clock. Engines on machines whose clocks differ then agree on what is due, and
// setting a machine's clock does not move retries.
type databaseClock struct{ anchor atomic.Pointer[anchor] }

type anchor struct{ database, local time.Time }

// queueReading adds a reading of the database's clock to the batch. The batch must be
// sent at once: the time of the reading is taken as the middle of the round trip.
func (c *databaseClock) queueReading(batch *pgx.Batch) {
	sent := time.Now()
	batch.Queue("select clock_timestamp()").QueryRow(func(row pgx.Row) error {
		var database time.Time
		if err := row.Scan(&database); err != nil {
			return err
		}
		c.anchor.Store(&anchor{database: database, local: sent.Add(time.Since(sent) / 2)})
		return nil
	})
}

// Now implements [Clock].
func (c *databaseClock) Now() time.Time {
	a := c.anchor.Load()
	if a == nil {
		return time.Now()
	}
	return a.database.Add(time.Since(a.local))
}

// At implements [Clock].
func (c *databaseClock) At(t time.Time, _ Wait, f func()) (stop func()) {
	return after(t.Sub(c.Now()), f)
}

// nowClock is Config.Now.
type nowClock func() time.Time

// Now implements [Clock].
func (c nowClock) Now() time.Time { return c() }

// At implements [Clock].
func (c nowClock) At(t time.Time, _ Wait, f func()) (stop func()) { return after(t.Sub(c()), f) }

// after calls f when d is over.
func after(d time.Duration, f func()) (stop func()) {
	if d > 0 {
		d = max(d, time.Millisecond) // whoever is early would only wait again
	}
	timer := time.AfterFunc(d, f)
	return func() { timer.Stop() }
}
