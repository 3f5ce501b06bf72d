package orchestration

import (
	"sync/atomic"
	"time"
)

// databaseClock is the database's time, carried forward by this machine's
// monotonic clock: engines on machines whose clocks differ agree on what is
// due, and a clock that is set does not move retries.
type databaseClock struct{ anchor atomic.Pointer[anchor] }

type anchor struct{ database, local time.Time }

// set takes note of what the database's clock said between two readings of the
// local one.
func (c *databaseClock) set(database, before, after time.Time) {
	c.anchor.Store(&anchor{database: database, local: before.Add(after.Sub(before) / 2)})
}

func (c *databaseClock) now() time.Time {
	a := c.anchor.Load()
	if a == nil {
		return time.Now()
	}
	return a.database.Add(time.Since(a.local))
}
