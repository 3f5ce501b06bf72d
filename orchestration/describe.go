package orchestration

import (
	"context"
	"slices"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// workerDescription is what the engine's row in tasker.workers says about its worker.
type workerDescription struct {
	works, draining           bool
	queues, namespaces, names []string // filters; empty if everything passes
	threads                   *int
	misses                    []string
	refuses                   []int32
}

const describeSQL = `
	update tasker.workers
	set works = $2, draining = $3, queues = $4, namespaces = $5, names = $6, threads = $7, misses = $8, refuses = $9
	where number = $1`

// describe has the engine's row written with the next heartbeat.
func (s *session) describe(d *workerDescription) {
	d.queues, d.namespaces, d.names = orNil(d.queues), orNil(d.namespaces), orNil(d.names)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.shown = d, d
}

// orNil makes an empty filter null.
func orNil(filter []string) []string {
	if len(filter) == 0 {
		return nil
	}
	return slices.Clone(filter)
}

// show writes the engine's row, if what it says has changed.
func (s *session) show(ctx context.Context, conn *pgx.Conn) error {
	s.mu.Lock()
	d, number := s.shown, s.number
	s.mu.Unlock()
	if d == nil || number == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, describeSQL, number, d.works, d.draining, d.queues, d.namespaces, d.names, d.threads, d.misses, d.refuses); err != nil {
		return errors.Wrap(err, "writing what the worker takes")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown == d {
		s.shown = nil
	}
	return nil
}
