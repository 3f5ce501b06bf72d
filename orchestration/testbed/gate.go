package testbed

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// gate is the network of one engine: every connection of its pool goes through it. Once it
// is cut, nothing of the engine reaches the database any more.
type gate struct {
	mu     sync.Mutex
	closed bool
	links  map[*link]bool
	byPID  map[uint32]*link
}

func newGate() *gate { return &gate{links: map[*link]bool{}, byPID: map[uint32]*link{}} }

var errCutOff = errors.New("the engine is cut off from the database, because the test wants it")

// guard has the connections of a pool go through the gate.
func (g *gate) guard(config *pgxpool.Config) {
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return g.admit(conn)
	}
	after := config.AfterConnect
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		g.note(conn)
		if after == nil {
			return nil
		}
		return after(ctx, conn)
	}
}

func (g *gate) admit(conn net.Conn) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = conn.Close()
		return nil, errCutOff
	}
	l := &link{Conn: conn, gate: g}
	g.links[l] = true
	return l, nil
}

// note remembers which link leads to a backend. With TLS, the link sees no messages, and so
// cannot lose one.
func (g *gate) note(conn *pgx.Conn) {
	if l, ok := conn.PgConn().Conn().(*link); ok {
		g.mu.Lock()
		defer g.mu.Unlock()
		l.pid = conn.PgConn().PID()
		g.byPID[l.pid] = l
	}
}

// cut closes all connections, and refuses new ones.
func (g *gate) cut() {
	g.mu.Lock()
	g.closed = true
	links := make([]*link, 0, len(g.links))
	for l := range g.links {
		links = append(links, l)
	}
	g.mu.Unlock()
	for _, l := range links {
		_ = l.Close() // it may be closed already
	}
}

// loseCommit has a backend's answer to the next COMMIT get lost, and its connection then.
// It must be called while the connection is idle. It reports whether that is possible.
func (g *gate) loseCommit(pid uint32) bool {
	g.mu.Lock()
	l := g.byPID[pid]
	g.mu.Unlock()
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losing = true
	return true
}

// link is one connection of an engine.
type link struct {
	net.Conn
	gate *gate
	pid  uint32

	mu     sync.Mutex
	losing bool         // the answer to the next COMMIT gets lost
	lost   bool         // it has come, and nothing is passed on any more
	held   []byte       // the beginning of a message that is not complete
	out    bytes.Buffer // messages for the client
}

// Close implements net.Conn.
func (l *link) Close() error {
	l.gate.mu.Lock()
	delete(l.gate.links, l)
	if l.gate.byPID[l.pid] == l {
		delete(l.gate.byPID, l.pid)
	}
	l.gate.mu.Unlock()
	return l.Conn.Close()
}

// Read implements net.Conn.
func (l *link) Read(b []byte) (int, error) {
	for {
		if n, loses := l.passed(b); n > 0 || !loses {
			if n > 0 {
				return n, nil
			}
		}
		n, err := l.Conn.Read(b)
		l.mu.Lock()
		if !l.losing {
			l.mu.Unlock()
			return n, err
		}
		over := l.filter(b[:n])
		l.mu.Unlock()
		if over {
			_ = l.Close()
			err = io.ErrUnexpectedEOF
		}
		if n, _ := l.passed(b); n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// passed returns what may be passed on.
func (l *link) passed(b []byte) (n int, loses bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out.Len() > 0 {
		n, _ = l.out.Read(b)
	}
	return n, l.losing
}

// The header of a message of the server: its type, and the length of what follows the type.
const headerSize = 5

// filter reads what the server has sent. It reports whether the server has done everything
// that was sent with the lost COMMIT.
func (l *link) filter(b []byte) (over bool) {
	l.held = append(l.held, b...)
	for len(l.held) >= headerSize {
		size := 1 + int(binary.BigEndian.Uint32(l.held[1:]))
		if len(l.held) < size {
			break
		}
		message := l.held[:size]
		l.held = l.held[size:]
		if message[0] == 'C' && bytes.HasPrefix(message[headerSize:], []byte("COMMIT\x00")) {
			l.lost = true
		}
		switch {
		case !l.lost:
			l.out.Write(message)
		case message[0] == 'Z':
			return true
		}
	}
	return false
}
