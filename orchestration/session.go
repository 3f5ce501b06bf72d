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
	conn *pgx.Conn
	id   int64
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
	if s.conn != nil && s.conn.PgConn().CheckConn() == nil {
		return s.id, nil
	}
	if s.conn != nil {
		discard(s.conn)
		s.conn = nil
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
	s.conn = own
	return s.id, nil
}

func (s *session) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.conn.Close(ctx)
	s.conn = nil
	return errors.Wrap(err, "closing the engine's session")
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
