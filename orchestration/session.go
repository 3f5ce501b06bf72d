package orchestration

import (
	"context"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lockSpace is the first half of the engines' advisory locks: "task" in ASCII.
const lockSpace = 0x7461736b

// session is the engine's own connection. It holds an advisory lock on the
// engine's number; whoever finds a claim of a number that nobody holds knows
// that the claim is dead.
type session struct {
	pool *pgxpool.Pool

	mu   sync.Mutex
	id   int64
	stop context.CancelFunc // ends the watch; nil while there is no session
	lost chan struct{}      // closed when the watch has ended, and the connection with it
}

func openSession(ctx context.Context, pool *pgxpool.Pool) (*session, error) {
	s := &session{pool: pool}
	_, err := s.claimant(ctx)
	return s, err
}

// claimant returns the number to claim under. When the session was lost, it
// opens another under a new number: what was claimed under the old one is not
// this engine's any more.
func (s *session) claimant(ctx context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		select {
		case <-s.lost:
			s.stop()
			s.stop = nil
		default:
			return s.id, nil
		}
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return 0, errors.Wrap(err, "opening the engine's session")
	}
	own := conn.Hijack()
	if err := CheckSchema(ctx, own); err != nil {
		discard(own)
		return 0, err
	}
	err = own.QueryRow(ctx, `
		with n as (select nextval('tasker.engines') as id)
		select id, pg_advisory_lock($1, id::int) from n`, lockSpace).Scan(&s.id, nil)
	if err != nil {
		discard(own)
		return 0, errors.Wrap(err, "opening the engine's session")
	}
	watch, stop := context.WithCancel(context.Background())
	lost := make(chan struct{})
	s.stop, s.lost = stop, lost
	go func() {
		defer close(lost)
		defer discard(own)
		for {
			// Nothing is ever notified: this ends with the connection.
			if _, err := own.WaitForNotification(watch); err != nil {
				return
			}
		}
	}()
	return s.id, nil
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
		<-s.lost
		s.stop = nil
	}
}

// discard closes a connection of which nothing is expected any more.
func discard(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// aliveSQL is true for the numbers whose session is there.
const aliveSQL = `exists (select 1 from pg_locks l
	where l.locktype = 'advisory' and l.classid = 1952543595 and l.objsubid = 2
	and l.database = (select oid from pg_database where datname = current_database())
	and l.objid::bigint = s.claimed_by)`
