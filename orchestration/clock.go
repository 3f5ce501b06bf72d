package orchestration

import (
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

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

func (c *databaseClock) now() time.Time {
	a := c.anchor.Load()
	if a == nil {
		return time.Now()
	}
	return a.database.Add(time.Since(a.local))
}
