// Package orchestration is the engine: it keeps tasks in PostgreSQL, decides
// which of their steps can run, runs them through a [StepHandler], and records
// what came of it.
//
// [Migrate] prepares a database. [Engine.Submit] writes a task, its steps and
// their edges in one transaction. [Engine.Handle] runs every step that can run
// now, independent ones at the same time, until nothing is left to do or only
// waiting is; [Engine.Run] also does the waiting. [Engine.Task] reads a task
// back whole, with every attempt and transition.
//
// A step is claimed by a compare-and-swap that counts the attempt. Its outcome
// (result or error, new state, audit row, and the end of the task if it was
// the last step) is written by one statement, in the handler's own transaction
// if it asked for one with [StepExecution.Tx]. A claim lives as long as the
// database session of the engine that made it; a result that comes after that
// changes nothing.
//
// The package knows handlers as an interface. Package rubysteps, below it,
// runs those written in Ruby. docs/engine.md has the tables of states, the
// decisions and the life of a step.
package orchestration
