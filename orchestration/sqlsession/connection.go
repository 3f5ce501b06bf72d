package sqlsession

import (
	"container/list"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The states of a connection, as PostgreSQL reports them.
const (
	idle          = 'I'
	inTransaction = 'T'
	inError       = 'E'
)

const (
	// maxPrepared bounds the prepared statements of one connection.
	maxPrepared = 128
	// hardStop is how long a statement may go on after the server was asked
	// to cancel it. Then the connection is closed.
	hardStop = 2 * time.Second
)

// connection is one of the pool's while a session has it.
type connection struct {
	pooled *pgxpool.Conn
	*prepared
	// spoiled says that something may be left on it which the next user must
	// not meet: it is closed instead of given back.
	spoiled bool
	// stale says the same of what it has prepared: nothing is lost when it is
	// closed.
	stale bool
	// listening says that notifications may come to it.
	listening bool
	// untaken is a notification that came for one who did not wait any more.
	untaken *pgconn.Notification
}

// prepared is what the server has prepared on one connection. Only text that
// came a second time is prepared: libraries that write values into their SQL
// would fill the server's memory with statements that never come again.
type prepared struct {
	byText map[string]*list.Element
	recent *list.List // of *pgconn.StatementDescription, the latest first
	seen   map[string]struct{}
	number int
	schema uint64 // what schemaVersion was
	may    bool   // whether anything is to be prepared; asking the connection copies its configuration
}

// schemaVersion grows with every change to tables and types that this process
// makes or takes back. What was prepared before has the types of before, and
// PostgreSQL does not change those of its parameters: it would round a number
// for a column that is not a float any more.
var schemaVersion atomic.Uint64

const customKey = "tasker-rb/prepared"

func attach(pooled *pgxpool.Conn) *connection {
	custom := pooled.Conn().PgConn().CustomData()
	p, _ := custom[customKey].(*prepared)
	if p == nil {
		p = &prepared{byText: map[string]*list.Element{}, recent: list.New(), seen: map[string]struct{}{}, schema: schemaVersion.Load(),
			may: preparing(pooled.Conn().Config())}
		custom[customKey] = p
	}
	return &connection{pooled: pooled, prepared: p}
}

func (c *connection) pgx() *pgx.Conn     { return c.pooled.Conn() }
func (c *connection) pg() *pgconn.PgConn { return c.pgx().PgConn() }
func (c *connection) status() byte       { return c.pg().TxStatus() }

// release rolls back what is open and returns the connection to the pool.
func (c *connection) release(ctx context.Context) {
	pg := c.pg()
	if !c.spoiled && !pg.IsClosed() && c.status() != idle {
		rollingBack, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardStop)
		if _, err := c.pgx().Exec(rollingBack, "rollback"); err != nil {
			c.spoiled = true
		}
		cancel()
	}
	if c.spoiled || c.stale || c.listening {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_ = c.pgx().Close(closing) // the server rolls back
		cancel()
	}
	c.pooled.Release()
}

// statementFor returns the prepared statement for a text; nil if it is not to
// be prepared, unless it must.
func (c *connection) statementFor(ctx context.Context, sql string, types []uint32, must bool) (*pgconn.StatementDescription, error) {
	if err := c.renew(ctx); err != nil {
		return nil, err
	}
	key := sql
	if types != nil { // other types, another statement
		key += fmt.Sprint("\x00", types)
	}
	if known := c.byText[key]; known != nil {
		c.recent.MoveToFront(known)
		return known.Value.(*pgconn.StatementDescription), nil
	}
	if !c.may {
		if must {
			return c.pg().Prepare(ctx, "", sql, types)
		}
		return nil, nil
	}
	if _, again := c.seen[key]; !again && !must {
		if len(c.seen) >= 4*maxPrepared {
			clear(c.seen)
		}
		c.seen[key] = struct{}{}
		return nil, nil
	}
	delete(c.seen, key)
	if c.recent.Len() >= maxPrepared {
		oldest := c.recent.Back()
		d := c.recent.Remove(oldest).(*pgconn.StatementDescription)
		delete(c.byText, d.SQL)
		if err := c.pg().Deallocate(ctx, d.Name); err != nil {
			return nil, err
		}
	}
	c.number++
	d, err := c.pg().Prepare(ctx, "tasker_"+strconv.Itoa(c.number), sql, types)
	if err != nil {
		return nil, err
	}
	d.SQL = key
	c.byText[key] = c.recent.PushFront(d)
	return d, nil
}

// renew forgets what was prepared before the schema changed.
func (c *connection) renew(ctx context.Context) error {
	now := schemaVersion.Load()
	if c.schema == now {
		return nil
	}
	var text strings.Builder
	for e := c.recent.Front(); e != nil; e = e.Next() {
		text.WriteString("deallocate " + e.Value.(*pgconn.StatementDescription).Name + ";")
	}
	if text.Len() > 0 {
		if _, err := c.pg().Exec(ctx, text.String()).ReadAll(); err != nil {
			return err
		}
	}
	clear(c.byText)
	clear(c.seen)
	c.recent.Init()
	c.schema = now
	return nil
}

// preparing: behind some poolers the user has told pgx not to.
func preparing(config *pgx.ConnConfig) bool {
	switch config.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe:
		return true
	default:
		return false
	}
}

// guard has the statement under way cancelled when ctx ends. The function that
// it returns must be called after the statement, and reports whether that
// happened.
func (c *connection) guard(ctx context.Context) (done func() bool) {
	if ctx.Done() == nil {
		return func() bool { return false }
	}
	g := &guard{pg: c.pg()}
	stop := context.AfterFunc(ctx, g.cancel)
	return func() bool {
		if stop() {
			return false
		}
		g.await()
		c.stale = true // the cancel might yet meet another statement
		return true
	}
}

// guard is a statement that is being cancelled. Few are: nothing is made for it
// before.
type guard struct {
	pg              *pgconn.PgConn
	mu              sync.Mutex
	over, cancelled chan struct{}
}

func (g *guard) signals() (over, cancelled chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over == nil {
		g.over, g.cancelled = make(chan struct{}), make(chan struct{})
	}
	return g.over, g.cancelled
}

func (g *guard) cancel() {
	over, cancelled := g.signals()
	defer close(cancelled)
	asking, cancel := context.WithTimeout(context.Background(), hardStop)
	defer cancel()
	_ = g.pg.CancelRequest(asking) // if that fails, the connection is closed below
	late := time.NewTimer(hardStop)
	defer late.Stop()
	select {
	case <-over:
	case <-late.C:
		_ = g.pg.Conn().SetDeadline(time.Unix(1, 0))
	}
}

// await tells that the statement is over, and waits for the cancelling to be so.
func (g *guard) await() {
	over, cancelled := g.signals()
	close(over)
	<-cancelled
}
