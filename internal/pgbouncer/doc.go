// Package pgbouncer puts a pgbouncer in front of a PostgreSQL server, for tests.
//
//	pooler := pgbouncer.Start(t, url, pgbouncer.Transaction, nil)
//	pool, err := pgxpool.New(ctx, pooler.URL(url)+"&default_query_exec_mode=exec")
//
// The pooler ends with the test. `scripts/setup.sh --for-tests` installs pgbouncer.
//
// In transaction mode two transactions of a client may run in two sessions of the
// server. Older versions of pgbouncer know no prepared statements in that mode; so pgx
// needs a default_query_exec_mode of exec or simple_protocol.
package pgbouncer
