package orchestration

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The channels that an engine's session listens on.
const (
	channelTask = "tasker_task" // a person changed a task; the payload is its number
	channelWake = "tasker_wake" // there is something to do
)

// How an engine proves that it lives.
const (
	// heartbeatEvery is the pause between two heartbeats.
	heartbeatEvery = 500 * time.Millisecond
	// heartbeatTimeout is how long the server may take to answer one. After that the
	// engine gives its session up. It is shorter than deadAfter, so an engine that is
	// cut off stops before others take over.
	heartbeatTimeout = 2 * time.Second
	// lookEvery is the number of heartbeats between two looks for dead engines.
	lookEvery = 2
	// deadAfter is the age of the last heartbeat from which an engine counts as dead. It
	// is well above heartbeatTimeout, because a busy machine is late too.
	deadAfter = 3 * time.Second
	// openTimeout is how long opening a session may take.
	openTimeout = 10 * time.Second
)

// session is the engine's own connection. It holds an advisory lock on the engine's
// number, writes a heartbeat, and listens for changes to tasks. A claim is dead when
// its number does not live; livingSQL says what that means.
//
// When the connection is lost, or does not answer, the session opens another one under
// a new number. The engine has then lost the claims of the old number, and everything
// it knew about tasks may be ahead of the database.
type session struct {
	opener   sessionOpener
	logger   *slog.Logger
	notified func(channel, payload string)
	// others is called now and then. seemDead says that another engine seems to be dead.
	others func(ctx context.Context, conn *pgx.Conn, seemDead bool)
	busy   func() int // how many handlers run
	lost   func()     // called when the connection is gone
	opened func()     // called after a reconnection, when notifications may be missing

	stop  context.CancelFunc
	ended chan struct{}

	mu        sync.Mutex
	number    int64                   // 0 while there is no connection
	mine      map[int64]bool          // every number this engine has had
	problem   error                   // why there is no connection
	lostAt    time.Time               // when a connection was last lost
	ready     chan struct{}           // closed while there is a connection
	shown     *workerDescription      // what the engine's row is to say; nil if it says so already
	all       *workerDescription      // the latest
	report    *string                 // the latest of Engine.Report; nil if there is none
	unwritten *string                 // the same, if the engine's row has not got it
	giveUp    context.CancelCauseFunc // ends the present connection
}

// openSession connects, and then keeps a connection until close. The functions of the
// session are called from one goroutine.
func openSession(ctx context.Context, s *session) (*session, error) {
	s.ended, s.mine, s.ready = make(chan struct{}), map[int64]bool{}, make(chan struct{})
	conn, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	var listening context.Context
	listening, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	go s.keep(listening, conn)
	return s, nil
}

// open opens a connection under a new number.
func (s *session) open(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s.mu.Lock()
	former := make([]int64, 0, len(s.mine))
	for n := range s.mine {
		former = append(former, n)
	}
	s.mu.Unlock()
	conn, number, err := s.opener.open(ctx, former)
	if err != nil {
		return nil, errors.Wrap(err, "opening the engine's session")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number, s.mine[number], s.problem = number, true, nil
	s.shown, s.unwritten = s.all, s.report
	close(s.ready)
	return conn, nil
}

// keep passes notifications on and writes heartbeats. It replaces a connection that is
// lost or silent.
func (s *session) keep(ctx context.Context, conn *pgx.Conn) {
	defer close(s.ended)
	for {
		living, giveUp := context.WithCancelCause(ctx)
		s.mu.Lock()
		s.giveUp = giveUp
		number := s.number
		s.mu.Unlock()
		err := s.live(living, conn)
		if living.Err() != nil {
			err = context.Cause(living)
		}
		giveUp(nil)
		s.forget(err)
		if ctx.Err() != nil {
			s.opener.leave(conn, number)
			return
		}
		discard(conn)
		s.lost()
		s.logger.Warn("the engine lost its session, and with it its claims; it claims nothing until it has another one",
			"engine", number, "error", err)
		if conn = s.reopen(ctx); conn == nil {
			return
		}
		s.logger.Info("the engine has a session again")
		s.opened()
	}
}

// live writes heartbeats, and passes on the notifications that come between them. It
// returns when the session cannot be trusted any more.
func (s *session) live(ctx context.Context, conn *pgx.Conn) error {
	for beats := 1; ; beats++ {
		if err := s.show(ctx, conn); err != nil {
			return err
		}
		if err := s.writeReport(ctx, conn); err != nil {
			return err
		}
		look := beats%lookEvery == 0
		dead, err := s.beat(ctx, conn, look)
		if err != nil {
			return err
		}
		if look {
			s.others(ctx, conn, dead)
		}
		until, cancel := context.WithTimeout(ctx, heartbeatEvery)
		err = s.receive(until, conn)
		cancel()
		if ctx.Err() != nil || conn.IsClosed() {
			return err
		}
	}
}

// receive passes notifications on until its context ends.
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

// heartbeatSQL also returns which of the backends ($2) are gone and, if it is asked to look
// for it ($3), whether another engine seems to be dead.
var heartbeatSQL = `
	with beat as (update tasker.workers set heartbeat_at = clock_timestamp(), busy = $4 where number = $1 returning 1)
	select exists (select from beat), array(
		select pid from unnest($2::int[]) as p (pid) where not exists (select from pg_stat_get_activity(p.pid))),
		$3 and exists (select from tasker.workers where number <> $1 and number not in (` + livingSQL + `))`

// errDeclaredDead says that another engine has deleted this one's row.
var errDeclaredDead = errors.New("another engine has found this one dead: its heartbeat was late")

// beat writes a heartbeat. With look it returns whether another engine seems to be dead.
func (s *session) beat(ctx context.Context, conn *pgx.Conn, look bool) (dead bool, err error) {
	s.mu.Lock()
	number := s.number
	s.mu.Unlock()
	answering, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	if number == 0 { // in doubt
		return false, errNotAlive
	}
	var alive bool
	var gone []int32
	asked := time.Now()
	err = conn.QueryRow(answering, heartbeatSQL, number, s.opener.connections.backends(), look, s.busy()).Scan(&alive, &gone, &dead)
	if n := s.opener.connections.cut(gone, asked); n > 0 {
		s.logger.Warn("closed connections that the server no longer has", "connections", n)
	}
	switch {
	case err == nil && !alive:
		return false, errDeclaredDead
	case err != nil && answering.Err() != nil && ctx.Err() == nil:
		return false, errors.Newf("the server has not answered a heartbeat within %v", heartbeatTimeout)
	}
	return dead, errors.Wrap(err, "writing a heartbeat")
}

// reopen tries until it succeeds, and says each reason why it does not once. It returns
// nil if the engine is closed first.
func (s *session) reopen(ctx context.Context) *pgx.Conn {
	said := map[string]bool{} // a server that is not there may refuse in several ways, in turn
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := s.open(ctx)
		if err == nil {
			return conn
		}
		s.mu.Lock()
		s.problem = err
		s.mu.Unlock()
		if reason := reasonOf(err); !said[reason] && ctx.Err() == nil {
			said[reason] = true
			s.logger.Error("the engine cannot open a session, and so it takes no tasks; trying again", "error", err)
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

// reasonOf is the text of an error without this end's port, which is another one at each
// try.
func reasonOf(err error) string {
	var network *net.OpError
	if errors.As(err, &network) && network.Source != nil {
		return strings.ReplaceAll(err.Error(), network.Source.String(), "")
	}
	return err.Error()
}

// forget notes that there is no connection.
func (s *session) forget(problem error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number != 0 { // otherwise doubt has done it
		s.number, s.ready = 0, make(chan struct{})
	}
	s.problem, s.giveUp, s.lostAt = problem, nil, time.Now()
}

// steadyAfter is how long a session must not have been lost, for the end of another one to
// be no sign of trouble with the server.
const steadyAfter = 10 * time.Second

// steady reports whether there is a connection, and none was lost of late. The first connection
// of an engine is steady at once: the engine may take over from one that has just died.
func (s *session) steady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number != 0 && (s.lostAt.IsZero() || time.Since(s.lostAt) > steadyAfter)
}

// errNotAlive says that the server does not take the engine for alive.
var errNotAlive = errors.New("the server has no lock of this engine any more")

// doubt gives the connection up, if the number is still the engine's. A claim was
// refused because the number does not live.
func (s *session) doubt(number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == number && s.giveUp != nil {
		s.number, s.ready = 0, make(chan struct{})
		s.giveUp(errNotAlive)
	}
}

// current returns the engine's number, or 0 and the reason why it has none.
func (s *session) current() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number, s.problem
}

// claimant returns the number for new claims. It waits for a connection.
func (s *session) claimant(ctx context.Context) (int64, error) {
	for {
		s.mu.Lock()
		number, ready := s.number, s.ready
		s.mu.Unlock()
		if number != 0 {
			return number, nil
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
func (s *session) owns(number int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mine[number]
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
