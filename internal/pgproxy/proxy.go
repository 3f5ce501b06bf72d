package pgproxy

import (
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// Proxy forwards connections to a server, and fails on request. Its methods may be
// called from any goroutine.
type Proxy struct {
	t        testing.TB
	listener net.Listener
	ended    sync.WaitGroup

	mu        sync.Mutex
	changed   *sync.Cond // the state of the proxy or of a link has changed
	target    target
	links     map[*link]bool
	past      []endedLink
	accepted  int
	refused   int
	stalled   bool // whatever is accepted now is stalled
	refusing  bool
	closed    bool
	swallow   *swallowing // nil if no answer is to be swallowed
	swallowed int
}

// target is where a server listens.
type target struct{ network, address string }

// Start starts a proxy in front of the server that databaseURL names. It ends with
// the test.
func Start(t testing.TB, databaseURL string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Proxy{t: t, listener: listener, links: map[*link]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.SetTarget(databaseURL)
	p.ended.Go(p.serve)
	t.Cleanup(p.close)
	return p
}

// SetTarget makes the server of databaseURL the one that new connections go to. The
// present connections stay where they are.
func (p *Proxy) SetTarget(databaseURL string) {
	p.t.Helper()
	config, err := pgconn.ParseConfig(databaseURL)
	require.NoError(p.t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target.network, p.target.address = pgconn.NetworkAddress(config.Host, config.Port)
}

// Address returns the host and the port of the proxy.
func (p *Proxy) Address() (host, port string) {
	host, port, err := net.SplitHostPort(p.listener.Addr().String())
	require.NoError(p.t, err)
	return host, port
}

// URL returns databaseURL with the host and the port of the proxy. It must be a
// URL, such as postgres://user@host/database. Unless it sets sslmode, TLS is off:
// pgx would open a second connection after the proxy has refused TLS on the first.
func (p *Proxy) URL(databaseURL string) string {
	p.t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(p.t, err)
	require.NotEmpty(p.t, u.Scheme, "%q is no URL", databaseURL)
	query := u.Query()
	query.Del("host")
	query.Del("port")
	if !query.Has("sslmode") {
		query.Set("sslmode", "disable")
	}
	u.RawQuery = query.Encode()
	u.Host = p.listener.Addr().String()
	return u.String()
}

// Accepted returns how many connections the proxy has accepted so far, without
// those that it refused.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Refused returns how many connections the proxy has refused so far.
func (p *Proxy) Refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// Open returns the connections that all matches accept. A connection counts until
// both of its ends are closed.
func (p *Proxy) Open(matches ...Match) []Connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	var open []Connection
	for l := range p.links {
		if l.known.matches(matches) {
			open = append(open, l.known)
		}
	}
	return open
}

// serve accepts connections until the proxy is closed.
func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.welcome(client)
	}
}

// welcome begins to forward a connection.
func (p *Proxy) welcome(client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusing || p.closed {
		p.refused++
		reset(client)
		return
	}
	p.accepted++
	l := newLink(p, client)
	l.stalled = p.stalled
	p.links[l] = true
	p.ended.Go(l.serve)
}

// close ends the proxy and waits until all of its goroutines have ended.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.reset()
	}
	p.mu.Unlock()
	_ = p.listener.Close()
	p.ended.Wait()
}

// reset closes a connection so that its other end sees a reset, if it is TCP.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close() // it may be closed already
}
