package rubysteps

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// SQL runs the statements of Ruby code: inside a step in the step's session,
// elsewhere in a session of each logical connection.
type SQL struct {
	open  func(context.Context) (*pgxpool.Pool, error)
	log   *slog.Logger
	hooks *rubyhost.Method // Tasker::AfterCommit.finish

	mu       sync.Mutex
	plain    map[uint32]*sqlsession.Session // by logical connection; only sessions that hold a connection
	settings map[uint32]*sqlsession.Settings
}

// ServeSQL gives Ruby code a database. Outside steps its statements run on
// connections of the pool; inside a step they run in the step's transaction.
// Their notices need a pool that [orchestration.ConfigurePool] has prepared, or
// [sqlsession.ReceiveNotices].
func ServeSQL(ctx context.Context, host *rubyhost.Host, pool *pgxpool.Pool, log *slog.Logger) (*SQL, error) {
	return ServeLazySQL(ctx, host, func(context.Context) (*pgxpool.Pool, error) { return pool, nil }, log)
}

// ServeLazySQL is ServeSQL with a pool that is opened when Ruby code first needs
// it outside a step. Handler files that look at tables while they are loaded need
// it then.
func ServeLazySQL(ctx context.Context, host *rubyhost.Host, open func(context.Context) (*pgxpool.Pool, error), log *slog.Logger) (*SQL, error) {
	hooks, err := host.Method(ctx, "Tasker::AfterCommit.finish")
	if err != nil {
		return nil, errors.Wrap(err, "finding the Ruby half of SQL")
	}
	s := &SQL{
		open: open, log: log, hooks: hooks,
		plain: map[uint32]*sqlsession.Session{}, settings: map[uint32]*sqlsession.Settings{},
	}
	return s, host.Serve(ctx, "sql", s.serve)
}

// Close ends the sessions that are still open outside steps. It rolls back what
// they have not committed.
func (s *SQL) Close(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.plain {
		session.Close(ctx)
	}
	clear(s.plain)
}

// The operations, as in tasker/postgres/channel.rb.
const (
	opExec = iota + 1
	opCopyIn
	opHook
	opFinish
	opConfigure
	opState
	opInfo
	opNotified
	opPlace
)

// executionKey is the key of the *orchestration.StepExecution in a call's context.
type executionKey struct{}

// Execution returns the attempt whose handler asks a service of the host, if ctx is that of
// the question. It is nil outside steps.
func Execution(ctx context.Context) *orchestration.StepExecution {
	x, _ := ctx.Value(executionKey{}).(*orchestration.StepExecution)
	return x
}

// sessionOf returns the session of the step that ctx belongs to; nil outside steps.
func sessionOf(ctx context.Context) *sqlsession.Session {
	if x := Execution(ctx); x != nil {
		return x.SQL()
	}
	return nil
}

// serve answers one request. An error of a statement is part of the answer; the
// returned error is one of the protocol.
func (s *SQL) serve(ctx context.Context, payload []byte) ([]byte, error) {
	request, err := parseRequest(payload)
	if err != nil {
		return nil, err
	}
	switch request.op { // these need no session
	case opFinish:
		s.forget(context.WithoutCancel(ctx), request.connection)
		return flags('F'), nil
	case opConfigure:
		return flags('C'), s.configure(request.connection, request.data)
	case opInfo:
		return s.info(ctx)
	case opPlace:
		return flags('P'), notePlace(ctx, request.data)
	}
	session, inStep := sessionOf(ctx), true
	if session == nil {
		if errors.Is(context.Cause(ctx), rubyhost.ErrCallOver) {
			return encodeFailure(sqlsession.ErrOver), nil
		}
		if session, err = s.plainSession(ctx, request.connection); err != nil {
			return encodeFailure(err), nil
		}
		inStep = false
		defer s.keep(request.connection, session)
	}
	switch request.op {
	case opExec, opCopyIn:
		request.statement.Settings = s.settingsOf(request.connection)
		var result *sqlsession.Result
		if request.op == opExec {
			result, err = session.Exec(ctx, &request.statement)
		} else {
			result, err = session.CopyIn(ctx, &request.statement, request.data)
		}
		if err != nil {
			return request.heard.before(encodeFailed(err, inStep)), nil
		}
		return request.heard.before(encodeResult(result)), nil
	case opHook:
		if inStep {
			session.OnEnd(s.runHooks(ctx))
		}
		open, err := session.AddHook(ctx, binary.LittleEndian.Uint64(request.data))
		if err != nil {
			return encodeFailure(err), nil
		}
		return flags('H', open), nil
	case opState:
		status, err := session.Status(ctx)
		if err != nil {
			return encodeFailure(err), nil
		}
		return append(flags('S', session.InStep()), status), nil
	case opNotified:
		return notified(ctx, session, request.data)
	default:
		return nil, errors.Newf("there is no SQL operation %d", request.op)
	}
}

// notePlace notes where the statement is that has just failed in the caller's step.
func notePlace(ctx context.Context, data []byte) error {
	session := sessionOf(ctx)
	if session == nil {
		return nil
	}
	var lines []string
	if err := json.Unmarshal(data, &lines); err != nil {
		return errors.Wrap(err, "the place of a statement")
	}
	session.NotePlace(ctx, lines)
	return nil
}

// notified waits for a notification, at most as many milliseconds as data says.
func notified(ctx context.Context, session *sqlsession.Session, data []byte) ([]byte, error) {
	if len(data) != 8 {
		return nil, errTruncated
	}
	most := int64(binary.LittleEndian.Uint64(data))
	n, err := session.Notified(ctx, time.Duration(min(most, math.MaxInt64/int64(time.Millisecond)))*time.Millisecond)
	switch {
	case err != nil:
		return encodeFailure(err), nil
	case n == nil:
		return flags('N'), nil
	}
	b, err := json.Marshal([]any{n.Channel, n.PID, n.Payload})
	return append(flags('N'), b...), err
}

// plainSession returns a logical connection's session outside steps.
func (s *SQL) plainSession(ctx context.Context, connection uint32) (*sqlsession.Session, error) {
	s.mu.Lock()
	known := s.plain[connection]
	s.mu.Unlock()
	if known != nil {
		return known, nil
	}
	pool, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	return sqlsession.Plain(pool), nil
}

// keep remembers a session while it holds a connection.
func (s *SQL) keep(connection uint32, session *sqlsession.Session) {
	held := session.Holds()
	s.mu.Lock()
	defer s.mu.Unlock()
	if held {
		s.plain[connection] = session
	} else {
		delete(s.plain, connection)
	}
}

// forget ends the session and the settings of a logical connection.
func (s *SQL) forget(ctx context.Context, connection uint32) {
	s.mu.Lock()
	session := s.plain[connection]
	delete(s.plain, connection)
	delete(s.settings, connection)
	s.mu.Unlock()
	if session != nil {
		session.Close(ctx)
	}
}

// settingsOf returns the settings of a logical connection; nil if it has none.
func (s *SQL) settingsOf(connection uint32) *sqlsession.Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings[connection]
}

// configure sets the settings of a logical connection.
func (s *SQL) configure(connection uint32, data []byte) error {
	var pairs [][2]string
	if err := json.Unmarshal(data, &pairs); err != nil {
		return errors.Wrap(err, "settings of a connection")
	}
	settings := &sqlsession.Settings{}
	for _, p := range pairs {
		settings.Set = append(settings.Set, sqlsession.Setting{Name: p[0], Text: p[1]})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings[connection] = settings
	return nil
}

// info describes the server, as PG::Connection does.
func (s *SQL) info(ctx context.Context) ([]byte, error) {
	pool, err := s.open(ctx)
	if err != nil {
		return encodeFailure(err), nil
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return encodeFailure(err), nil
	}
	defer conn.Release()
	config, pg := conn.Conn().Config(), conn.Conn().PgConn()
	info := map[string]any{
		"host": config.Host, "port": config.Port, "db": config.Database, "user": config.User, "parameters": map[string]string{},
	}
	for _, name := range []string{
		"server_version", "server_encoding", "client_encoding", "is_superuser", "session_authorization",
		"DateStyle", "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "application_name",
	} {
		info["parameters"].(map[string]string)[name] = pg.ParameterStatus(name)
	}
	b, err := json.Marshal(info)
	return append([]byte{'I'}, b...), err
}

// hookTimeout is how long the after_commit blocks of a step may take.
const hookTimeout = 30 * time.Second

// runHooks returns the function that runs the after_commit and after_rollback
// blocks of a step, once the step is committed or rolled back. The blocks run
// outside the step. An error of theirs is only logged. If the fate is not known, Ruby
// forgets them.
func (s *SQL) runHooks(ctx context.Context) func(hooks []uint64, fate sqlsession.Fate) {
	ctx = context.WithValue(context.WithoutCancel(ctx), executionKey{}, nil)
	return func(hooks []uint64, fate sqlsession.Fate) {
		var committed any
		if fate != sqlsession.Unknown {
			committed = fate == sqlsession.Committed
		}
		ctx, cancel := context.WithTimeout(ctx, hookTimeout)
		defer cancel()
		if _, err := s.hooks.Call(ctx, hooks, committed); err != nil {
			s.log.ErrorContext(ctx, "an after_commit block of a step failed", "error", err)
		}
	}
}
