package orchestration

import (
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// poolConnections are the open connections of a pool that ConfigurePool has prepared. A
// connection whose backend is gone may stay open and silent on this side; a statement
// on it would wait for ever. The session asks the server which backends are gone.
type poolConnections struct {
	mu   sync.Mutex
	open map[*pgx.Conn]time.Time // since when
}

// connectionsByName has them by the application_name, which is the pool's alone. A
// program opens few pools, so nothing is taken out.
var connectionsByName sync.Map

func (p *poolConnections) add(conn *pgx.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = time.Now()
}

// remove forgets a connection. A pool calls it when it closes one, and whoever took the
// connection out of the pool must do the same.
func (p *poolConnections) remove(conn *pgx.Conn) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}

// backends returns the process numbers of the connections' backends.
func (p *poolConnections) backends() []int32 {
	if p == nil {
		return []int32{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	pids := make([]int32, 0, len(p.open))
	for conn := range p.open { // whether it is closed, only its user may ask
		pids = append(pids, int32(conn.PgConn().PID()))
	}
	return pids
}

// cut closes the connections to these backends, which are gone. A statement that waits
// for an answer then fails. It spares connections that were opened after the question,
// because a process number can come again.
func (p *poolConnections) cut(gone []int32, asked time.Time) (n int) {
	if p == nil || len(gone) == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn, since := range p.open {
		for _, pid := range gone {
			if int32(conn.PgConn().PID()) == pid && since.Before(asked) {
				_ = conn.PgConn().Conn().Close() // the one call that another goroutine may make
				delete(p.open, conn)
				n++
			}
		}
	}
	return n
}
