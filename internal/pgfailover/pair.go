package pgfailover

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

// Pair is a primary and its replica. Its methods must be called from the test's
// goroutine.
type Pair struct {
	// Clients is between the clients and the primary.
	Clients *pgproxy.Proxy
	// Stream is between the replica and the primary.
	Stream *pgproxy.Proxy

	t        testing.TB
	settings map[string]string
	primary  *server
	replica  *server // nil between a failover and AddReplica
}

// Start starts a primary with an empty database, and a replica of it. The settings
// are of both servers. All ends with the test.
func Start(t testing.TB, settings map[string]string) *Pair {
	t.Helper()
	p := &Pair{t: t, settings: settings}
	p.primary = newPrimary(t, settings)
	p.Clients = pgproxy.Start(t, p.primary.url())
	p.Stream = pgproxy.Start(t, p.primary.url())
	p.AddReplica()
	return p
}

// URL returns the connection string of the database on the primary of the moment,
// through the proxy Clients. Failover does not change it. The user is a superuser.
func (p *Pair) URL() string { return p.Clients.URL(p.primary.url()) }

// PrimaryURL returns the connection string of the primary of the moment, without a
// proxy.
func (p *Pair) PrimaryURL() string { return p.primary.url() }

// ReplicaURL returns the connection string of the replica, without a proxy. The
// replica answers queries that only read.
func (p *Pair) ReplicaURL() string {
	p.t.Helper()
	require.NotNil(p.t, p.replica, "the pair has no replica: call AddReplica")
	return p.replica.url()
}

// PrimaryPID returns the number of the primary's first process.
func (p *Pair) PrimaryPID() int { return p.primary.process.PID() }

// AddReplica makes a replica of the primary of the moment. The pair must not have
// one.
func (p *Pair) AddReplica() {
	p.t.Helper()
	require.Nil(p.t, p.replica, "the pair has a replica already")
	p.Stream.Cut()
	p.Stream.Resume()
	p.Stream.SetTarget(p.primary.url())
	p.replica = newReplica(p.t, p.Stream, p.settings)
}

// AwaitReplica waits until the replica has everything that the primary has committed
// by now.
func (p *Pair) AwaitReplica() {
	p.t.Helper()
	flushed := ask(p.t, p.primary.url(), "select pg_current_wal_flush_lsn()::text")
	p.replica.process.Await(func() error {
		return p.replica.check("select pg_last_wal_replay_lsn() >= '" + flushed + "'")
	})
}

// Failover stalls the stream and calls meanwhile, whose commits the replica does not
// get. Then it kills the primary, makes the replica the primary, and lets the proxy
// Clients forward new connections to it. meanwhile may be nil.
func (p *Pair) Failover(meanwhile func()) {
	p.t.Helper()
	require.NotNil(p.t, p.replica, "the pair has no replica: call AddReplica")
	p.Stream.Stall()
	if meanwhile != nil {
		meanwhile()
	}
	p.KillPrimary()
	p.Promote()
}

// KillPrimary ends the primary without a checkpoint, and waits for its end. It does
// nothing if the primary has ended.
func (p *Pair) KillPrimary() {
	p.t.Helper()
	p.primary.process.Stop(syscall.SIGQUIT)
}

// Promote makes the replica the primary. It gives up what the stream still holds back.
// The old primary may live: then the connections that the proxy Clients has to it go
// on.
func (p *Pair) Promote() {
	p.t.Helper()
	require.NotNil(p.t, p.replica, "the pair has no replica: call AddReplica")
	p.Stream.Stall() // a replica that connects again must not catch up
	p.Stream.Cut()
	p.replica.promote()
	p.primary, p.replica = p.replica, nil
	p.Clients.SetTarget(p.primary.url())
	p.Clients.Accept()
}
