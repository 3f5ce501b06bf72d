package sqlsession

import (
	"container/list"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxPrepared bounds the prepared statements of one connection.
const maxPrepared = 128

// prepared are the prepared statements of one connection. A text is prepared
// only when it comes for the second time: libraries that write values into their
// SQL would otherwise fill the server's memory with statements that never come
// again.
type prepared struct {
	byText map[string]*list.Element
	recent *list.List // of *pgconn.StatementDescription, the latest first
	seen   map[string]struct{}
	number int
	schema uint64 // the schemaVersion for which it was prepared
	may    bool   // whether anything is to be prepared; asking the connection copies its configuration
}

// schemaVersion grows with every change to tables and types that this process
// makes or rolls back. A statement that was prepared before such a change keeps
// the parameter types of before: PostgreSQL would, for example, round a number
// for a column that is no float any more.
var schemaVersion atomic.Uint64

// statementFor returns the prepared statement for a text. It returns nil for a
// text that is not to be prepared yet, unless the caller must have one.
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

// renew drops the prepared statements if the schema has changed since.
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

// preparing reports whether the user allows prepared statements. Behind some
// poolers pgx has to be told not to use them.
func preparing(config *pgx.ConnConfig) bool {
	switch config.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe:
		return true
	default:
		return false
	}
}
