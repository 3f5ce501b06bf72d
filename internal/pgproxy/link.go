package pgproxy

import (
	"context"
	"io"
	"net"
	"os"
	"time"

	"github.com/cockroachdb/errors"
)

// link is one connection of a client, and the connection to the server that belongs
// to it. Proxy.mu guards the fields behind ctx.
type link struct {
	proxy  *Proxy
	client net.Conn
	fromIt *frames // what the client sends
	ctx    context.Context
	cancel context.CancelFunc

	server  net.Conn // nil before the link has reached the server
	known   Connection
	counted counter
	stalled bool        // nothing is written to either end
	silent  bool        // the server's end is closed, and the client must not notice
	closed  bool        // both ends are closed
	writers int         // how many writes are under way
	losing  *swallowing // what swallows the server's answers; nil if nothing does
}

func newLink(p *Proxy, client net.Conn) *link {
	l := &link{proxy: p, client: client, fromIt: newFrames(client)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// enough is how many bytes are gathered before they are written.
const enough = 64 << 10

// past is a deadline that ends a write at once.
var past = time.Unix(1, 0)

// serve forwards in both directions until both ends are closed.
func (l *link) serve() {
	defer l.forget()
	defer l.awaitClient()
	packet, ok := l.start()
	if !ok || !l.dial() || !l.write(l.server, packet) {
		l.end(l.reset)
		return
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		l.forwardAnswers()
	}()
	l.forwardRequests()
	<-answered
}

// awaitClient reads what the client of a silent link still sends, until it closes its
// end.
func (l *link) awaitClient() {
	l.proxy.mu.Lock()
	silent := l.silent
	l.proxy.mu.Unlock()
	if silent {
		_, _ = io.Copy(io.Discard, l.client)
	}
}

// forget removes the link from the proxy.
func (l *link) forget() {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	l.reset()
	delete(p.links, l)
	p.past = append(p.past, endedLink{l.known, l.counted.Traffic})
	p.changed.Broadcast()
}

// start reads the client's first packets. It returns the one for the server.
func (l *link) start() (packet []byte, ok bool) {
	for {
		packet, code, err := l.fromIt.packet()
		if err != nil {
			return nil, false
		}
		if code == codeTLS || code == codeGSS {
			if !l.write(l.client, []byte("N")) {
				return nil, false
			}
			continue
		}
		l.proxy.mu.Lock()
		defer l.proxy.mu.Unlock()
		if l.known.Cancel = code == codeCancel; !l.known.Cancel {
			l.known.noteStart(packet)
		}
		return packet, true
	}
}

// dial connects to the server. It waits while the link is stalled.
func (l *link) dial() bool {
	p := l.proxy
	p.mu.Lock()
	if !l.mayWrite() {
		p.mu.Unlock()
		return false
	}
	to := p.target
	p.mu.Unlock()
	var dialer net.Dialer
	server, err := dialer.DialContext(l.ctx, to.network, to.address)
	if err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.closed || l.silent { // a fault came meanwhile
		reset(server)
		return false
	}
	l.server = server
	return true
}

// forwardRequests passes on what the client sends, until an end is closed. If that is
// the server's end, forwardAnswers closes the other one: the server may have said why.
func (l *link) forwardRequests() {
	b := make([]byte, enough)
	for {
		n, err := l.fromIt.r.Read(b)
		if !l.write(l.server, b[:n]) {
			return
		}
		if err != nil {
			l.end(l.close)
			return
		}
	}
}

// forwardAnswers passes on what the server sends, until its end is closed.
func (l *link) forwardAnswers() {
	answers := newFrames(l.server)
	var gathered []byte
	for {
		message, err := answers.message()
		if err != nil {
			l.end(l.close)
			return
		}
		pass, lost := l.note(message)
		if pass {
			gathered = append(gathered, message...)
		}
		if !lost && answers.more() && len(gathered) < enough {
			continue
		}
		if !l.write(l.client, gathered) {
			l.end(l.close)
			return
		}
		gathered = gathered[:0]
		if lost {
			l.lose()
			return
		}
	}
}

// end does how to the link, unless it is silent. It waits while the link is stalled: a
// stalled network delivers no close.
func (l *link) end(how func()) {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.mayWrite() {
		how()
	}
}

// mayWrite waits while the link is stalled. It reports whether the link still
// connects its two ends. The caller must hold Proxy.mu.
func (l *link) mayWrite() bool {
	for l.stalled && !l.closed && !l.silent {
		l.proxy.changed.Wait()
	}
	return !l.closed && !l.silent
}

// write writes b to one end. It pauses while the link is stalled, also in the middle
// of b. It reports whether all of b was written.
func (l *link) write(to net.Conn, b []byte) bool {
	for len(b) > 0 {
		if !l.beginWrite(to) {
			return false
		}
		n, err := to.Write(b)
		l.endWrite()
		b = b[n:]
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
	}
	return true
}

func (l *link) beginWrite(to net.Conn) bool {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	if !l.mayWrite() {
		return false
	}
	l.writers++
	_ = to.SetWriteDeadline(time.Time{}) // a closed end fails the write
	return true
}

func (l *link) endWrite() {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.writers--
	l.proxy.changed.Broadcast()
}

// The methods below change the state. Their caller must hold Proxy.mu.

// stall lets no more writes begin, and interrupts those under way.
func (l *link) stall() {
	l.stalled = true
	_ = l.client.SetWriteDeadline(past)
	if l.server != nil {
		_ = l.server.SetWriteDeadline(past)
	}
}

// silence closes the server's end. The client's end stays open.
func (l *link) silence() {
	if l.closed || l.silent {
		return
	}
	l.silent, l.known.HalfOpen = true, true
	l.cancel()
	_ = l.client.SetWriteDeadline(past)
	if l.server != nil {
		reset(l.server)
	}
	l.proxy.changed.Broadcast()
}

// close closes both ends.
func (l *link) close() { l.closeWith(func(c net.Conn) { _ = c.Close() }) }

// reset closes both ends, and the peers see a reset where that is possible.
func (l *link) reset() { l.closeWith(reset) }

func (l *link) closeWith(closeEnd func(net.Conn)) {
	if l.closed {
		return
	}
	l.closed = true
	l.cancel()
	closeEnd(l.client)
	if l.server != nil {
		closeEnd(l.server)
	}
	l.proxy.changed.Broadcast()
}
