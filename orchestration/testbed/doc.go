// Package testbed runs tasks for tests on the real engine and a real PostgreSQL. Its clock
// skips waits. Crashes, lost connections and timeouts come at chosen moments, and a record
// says what happened. It knows no test framework. Package orchestrationtest
// makes it a helper for `go test`; the tests of handlers in Ruby use it too.
//
//	bed, err := testbed.Open(ctx, testbed.Config{URL: url, Engine: orchestration.Config{Handlers: handlers}})
//	err = bed.Begin(ctx, time.Now())
//	bed.Add(testbed.Fault{Step: "charge", Kind: testbed.Crash, At: testbed.During})
//	run, err := bed.Run(ctx, orchestration.Submission{Template: template}, testbed.RunOptions{})
//	leftovers, err := bed.End(ctx)
//
// A [Bed] has one database, and gives it to many tests, one after another. [Bed.Begin] puts
// the database back to what it was before the first test. The engine stays open meanwhile,
// so a test of a small task takes some milliseconds.
//
// A crash cuts the engine off from the database and ends its backends. What the engine
// still returns is refused, and another engine goes on. The process lives on, and so do its
// memory and its goroutines.
//
// # The files
//
//	bed.go        Open, Close, Begin and End
//	run.go        Run and Finish
//	workers.go    engines that work until a task or a test ends
//	instance.go   an engine that can be dropped
//	gate.go       its network
//	clock.go      the clock
//	fault.go      what is to happen to attempts
//	point.go      where a run is to crash
//	resolver.go   finds handlers, and gives each attempt its faults
//	attempt.go    an attempt that meets them
//	connection.go the connection that it loses
//	attempts.go   what others tell about attempts that run
//	trace.go      what has happened
//	reset.go      the database as it was
//	schema.go     changes of the schema
//	sqlclock.go   now() in SQL
//	sqlwords.go   what reads other clocks
package testbed
