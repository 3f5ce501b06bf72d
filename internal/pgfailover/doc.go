// Package pgfailover gives a test a primary PostgreSQL and a streaming replica of
// it, and lets the primary die while the replica lags behind.
//
//	pair := pgfailover.Start(t, map[string]string{"synchronous_commit": "off"})
//	pool, err := pgxpool.New(ctx, pair.URL())
//	...
//	pair.Failover(func() {
//		// What is committed here gets lost.
//	})
//	// The pool reaches the former replica now.
//	pair.AddReplica() // for another failover
//
// Both ways lead through a proxy (pgproxy): Clients is the one from the clients to
// the primary, Stream the one from the replica to the primary. A test makes both
// fail as it likes.
//
// By default the clients' connections end with the primary, as when only its process
// dies. For a host that is lost, call pair.Clients.Refuse and pair.Clients.HalfOpen in
// the function that Failover calls. Failover accepts new connections again.
//
// A pair takes about a second to start, and a failover with AddReplica half a second.
//
//	pair.go    what tests call
//	server.go  one server: its data, its start and its promotion
package pgfailover
