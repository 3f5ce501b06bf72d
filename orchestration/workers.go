package orchestration

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// WorkerInfo is an engine that lives and works.
type WorkerInfo struct {
	Number  int64 // of the engine
	Host    string
	PID     int
	Version string // of its program

	// Queues, Namespaces and Names are its filters. A filter that is nil lets everything
	// pass.
	Queues, Namespaces, Names []string

	Threads int      // 0: without a limit
	Busy    int      // of them
	Misses  []string // handler classes that it has not
	Held    int      // the tasks that it has leased

	Draining bool // it has been told to stop, and takes no more tasks

	StartedAt    time.Time
	HeartbeatAt  time.Time
	HeartbeatAge time.Duration // by the database's clock

	Report json.RawMessage // of [Engine.Report], its keys in any order; nil if there is none
}

// workersSQL selects the engines that live and work.
var workersSQL = `
	select w.number, w.host, w.pid, w.version, w.queues, w.namespaces, w.names, coalesce(w.threads, 0), w.busy, w.misses, w.draining,
		(select count(*) from tasker.queue q where q.begun and q.held_by = w.number), w.started_at, w.heartbeat_at,
		clock_timestamp() - w.heartbeat_at, w.report::text
	from tasker.workers w where w.works and w.number in (` + livingSQL + `)
	order by w.started_at, w.number`

// Workers lists the engines that live and work, the oldest first.
func (e *Engine) Workers(ctx context.Context) ([]WorkerInfo, error) {
	rows, err := e.pool.Query(ctx, workersSQL)
	if err != nil {
		return nil, errors.Wrap(err, "listing workers")
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w WorkerInfo, err error) {
		var report *string
		err = row.Scan(&w.Number, &w.Host, &w.PID, &w.Version, &w.Queues, &w.Namespaces, &w.Names, &w.Threads, &w.Busy, &w.Misses, &w.Draining,
			&w.Held, &w.StartedAt, &w.HeartbeatAt, &w.HeartbeatAge, &report)
		if report != nil {
			w.Report = json.RawMessage(*report)
		}
		return w, err
	})
	return list, errors.Wrap(err, "listing workers")
}
