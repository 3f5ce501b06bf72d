// Package orchestrationtest tests handlers in Go, and tasks of them, as they run in
// production: on a real PostgreSQL, with the engine's own claims, retries and commits.
//
//	func TestTheCardIsChargedOnce(t *testing.T) {
//		t.Parallel()
//		env := orchestrationtest.New(t, orchestration.Config{Handlers: handlers})
//		env.Crash("charge", orchestrationtest.During)
//		task := env.Run(t, template, Order{Cents: 1250})
//		orchestrationtest.RequireComplete(t, task)
//	}
//
// An [Env] has a database of its own, so tests may run in parallel. Its clock stands still
// while handlers run, and goes on to the next retry when nothing else can happen: no test
// waits for a backoff. Time limits of steps are real.
//
// The faults ([Env.Fail], [Env.Crash], [Env.LoseConnection]) meet the attempts of a step
// one by one, in the order in which they were asked for. A fault that has met no attempt
// when the test ends fails the test.
//
// A crash cuts the engine off from the database and ends its backends. What the engine
// still returns is refused, and another engine goes on. The process lives on, and so do its
// memory and its goroutines.
//
// # The server
//
// All environments of a test binary share one PostgreSQL. It is started from the installed
// binaries, keeps its data in memory, and ends with the test binary. If
// TASKER_TEST_DATABASE_URL names a server, that one is used; its user must be allowed to
// create databases. A database is a copy of a prepared one, made in some 20 ms.
//
// # The files
//
// Package testbed does the work. It has no part in `go test`.
//
//	env.go     New, Run and Finish
//	faults.go  what happens to attempts
//	require.go assertions
package orchestrationtest
