// Package orchestration is the engine. It keeps tasks in PostgreSQL, decides
// which steps can run, runs them through a [StepHandler], and records each
// outcome.
//
// [Migrate] prepares a database. [Engine.Submit] writes a task and its steps in
// one transaction. [Engine.Handle] runs every step that can run
// now, until the task ends or has to wait; [Engine.Run] also waits;
// [Engine.Work] takes tasks from the queue. [Engine.Task] reads a task back,
// with every attempt and transition.
//
// # The main path
//
// Read these files in this order; docs/architecture.md has the functions.
//
//	submit.go        a task is written
//	worker.go        a worker leases due tasks (lease.go) and handles each
//	handle.go        one task: load, task loop, end or wait
//	load.go          the task and its steps as the database has them
//	task_loop.go     finds the steps that can run (finalize.go), starts them
//	admission.go     a step waits for a thread (threads.go, company.go)
//	claim.go         claims a step: a compare-and-swap that counts the attempt
//	attempt.go       calls the handler within the step's time
//	outcome.go       what the attempt led to (failure.go, backoff.go)
//	group_commit.go  commits claims and outcomes of many steps together
//	outcome_in_tx.go commits an outcome with the handler's own SQL
//
// These files are beside that path:
//
//	open.go          makes an engine from a URL
//	typed.go         makes handlers from functions with types
//	clock.go         says what time it is
//	repertoire.go    says which tasks a worker takes
//	session.go       the engine's own connection; when it ends, its claims end
//	session_open.go  registers the engine
//	living.go        says which engines live
//	maintenance.go   finds the tasks of dead engines
//	recognize.go     finds out about a commit whose answer was lost
//	own_batch.go     keeps settings for applications off the engine's statements (own_tx.go too)
//	operator.go      what an operator does to a task (bulk.go: to many)
//	prune.go         deletes old tasks; submit_once.go knows their identity keys
//	permits.go       limits how many steps of a concurrency key run at once
//	hold.go          keeps workers away from a task that a program runs itself
//	development.go   marks a database in which templates may be replaced
//	watchers.go      tells a running task that somebody has changed it
//	task_export.go   makes a task a document; redact.go takes secrets out of it
//	try.go           repeats a step of such a document
//
// # What holds
//
// A step is claimed by one engine. One statement writes its outcome: results or
// error, new state, audit row, and the end of the task if it was the last step.
// The statement runs in the handler's own transaction if the handler asked for
// one with [StepExecution.Tx]. A claim lives as long as its engine, which shows
// by a row, a heartbeat, and a lock in a database session. A result that arrives
// later changes nothing.
//
// Package rubysteps, below this one, runs handlers written in Ruby.
// docs/engine.md has the tables of states and decisions.
package orchestration
