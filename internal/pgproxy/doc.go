// Package pgproxy is a network that fails on request: a proxy in front of a
// PostgreSQL server, for tests.
//
//	proxy := pgproxy.Start(t, url)
//	pool, err := pgxpool.New(ctx, proxy.URL(url))
//	...
//	proxy.Stall()                      // nothing arrives any more, in either direction
//	proxy.Resume()                     // what was held back arrives
//	proxy.Cut()                        // the connections are reset
//	proxy.HalfOpen(pgproxy.Listened)   // the server is gone, and nobody tells the client
//	proxy.Refuse()                     // new connections are reset
//	proxy.Accept()                     // new connections work again
//	proxy.SwallowCommitAnswers(1, pgproxy.ThenCut)
//	proxy.SetTarget(otherURL)          // new connections go to another server
//	proxy.Traffic(pgproxy.Listened)    // statements, round trips and commits so far
//
// Stall, Resume, Cut and HalfOpen apply to every connection, or to those that all
// of their matches accept. A fault is complete when its method returns: not a byte
// crosses a stalled connection after Stall has returned.
//
// A connection that was accepted while everything was stalled says nothing, and
// does not reach the server. A stalled connection does not pass on either that
// one end has closed it. The other end hears of it after Resume.
//
// The proxy refuses TLS and GSS encryption, so it can read what the server
// answers. It forwards requests to cancel a statement.
//
// The kernel acknowledges what a client sends to the proxy, whatever the proxy
// does with it. So TCP keepalive and tcp_user_timeout of a client never see a
// fault of this package.
//
// # The files
//
//	proxy.go    Start, and the proxy's address and target
//	faults.go   the faults
//	swallow.go  the answers that get lost
//	match.go    what is known of a connection, and how to choose some
//	link.go     one connection: its two ends and what flows between them
//	frames.go   the messages of PostgreSQL's protocol
//	traffic.go  what the server has done: statements, round trips, commits
package pgproxy
