package orchestration

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lockSpace is the first half of the engines' advisory locks: "task" in ASCII.
const lockSpace = 0x7461736b

// The channels that an engine's session listens on.
const (
	channelTask = "tasker_task" // a person changed a task; the payload is its number
	channelWake = "tasker_wake" // there is something to do
)

// session is the engine's own connection. It holds an advisory lock on the engine's
// number while the engine lives. A claim is dead when its number is not locked. The
// session also listens for changes to tasks.
//
// When the connection is lost, the session opens another one under a new number. The
// engine has then lost the claims of the old number.
type session struct {
	pool     *pgxpool.Pool
	logger   *slog.Logger
	clock    *databaseClock
	notified func(channel, payload string)
	opened   func() // called after a reconnection, when notifications may be missing

	stop  context.CancelFunc
	ended chan struct{}

	mu    sync.Mutex
	id    int64          // 0 while there is no connection
	mine  map[int64]bool // every number this engine has had
	ready chan struct{}  // closed while there is a connection
}

// openSession connects, and then keeps a connection until close. notified and opened are
// called from one goroutine.
func openSession(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger, clock *databaseClock, notified func(channel, payload string), opened func()) (*session, error) {
	s := &session{
		pool: pool, logger: logger, clock: clock, notified: notified, opened: opened,
		ended: make(chan struct{}), mine: map[int64]bool{}, ready: make(chan struct{}),
	}
	conn, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	var listening context.Context
	listening, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	go s.listen(listening, conn)
	return s, nil
}

const takeNumberSQL = `
	with n as (select nextval('tasker.engines') as id)
	select id, pg_advisory_lock($1, id::int) from n`

// open removes a connection from the pool, and gives it a number.
func (s *session) open(ctx context.Context) (*pgx.Conn, error) {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, errors.Wrap(err, "opening the engine's session")
	}
	conn := pooled.Hijack()
	if err := CheckSchema(ctx, conn); err != nil {
		discard(conn)
		return nil, err
	}
	var id int64
	err = conn.QueryRow(ctx, takeNumberSQL, lockSpace).Scan(&id, nil)
	if err == nil {
		var batch pgx.Batch
		s.clock.queueReading(&batch)
		err = conn.SendBatch(ctx, &batch).Close()
	}
	if err == nil {
		_, err = conn.Exec(ctx, "listen "+channelTask+"; listen "+channelWake)
	}
	if err != nil {
		discard(conn)
		return nil, errors.Wrap(err, "opening the engine's session")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.mine[id] = id, true
	close(s.ready)
	return conn, nil
}

// listen passes notifications on, and replaces a lost connection.
func (s *session) listen(ctx context.Context, conn *pgx.Conn) {
	defer close(s.ended)
	for {
		err := s.receive(ctx, conn)
		s.forget()
		discard(conn)
		if ctx.Err() != nil {
			return
		}
		s.logger.Warn("the engine lost its session, and with it its claims; opening another session", "error", err)
		if conn = s.reopen(ctx); conn == nil {
			return
		}
		s.logger.Info("the engine has a session again")
		s.opened()
	}
}

func (s *session) receive(ctx context.Context, conn *pgx.Conn) error {
	for {
		var n *pgconn.Notification
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		s.notified(n.Channel, n.Payload)
	}
}

// reopen tries until it succeeds. It returns nil if the engine is closed first.
func (s *session) reopen(ctx context.Context) *pgx.Conn {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		conn, err := s.open(attempt)
		cancel()
		if err == nil {
			return conn
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func (s *session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.ready = 0, make(chan struct{})
}

// claimant returns the number for new claims. It waits for a connection.
func (s *session) claimant(ctx context.Context) (int64, error) {
	for {
		s.mu.Lock()
		id, ready := s.id, s.ready
		s.mu.Unlock()
		if id != 0 {
			return id, nil
		}
		select {
		case <-ready:
		case <-s.ended:
			return 0, errors.New("the engine is closed")
		case <-ctx.Done():
			return 0, errors.Wrap(context.Cause(ctx), "waiting for the engine's session")
		}
	}
}

// owns reports whether the number is or was this engine's.
func (s *session) owns(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mine[id]
}

func (s *session) close() {
	s.stop()
	<-s.ended
}

// discard closes a connection that is no longer needed.
func discard(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// livingSQL selects the numbers of living engines.
const livingSQL = `select l.objid::bigint from pg_locks l
	where l.locktype = 'advisory' and l.classid = 1952543595 and l.objsubid = 2 and l.granted
	and l.database = (select oid from pg_database where datname = current_database())`
