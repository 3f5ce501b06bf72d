// Package rubysteps runs step handlers that are written in Ruby, and gives their
// SQL to the engine's database. It is the only package that knows both the engine
// (orchestration) and the interpreter (rubyhost).
//
// The terms:
//
//   - A handler is a subclass of Tasker::StepHandler::Base. [Handlers] is the
//     [orchestration.HandlerResolver] that finds it in a [rubyhost.Host].
//   - A service answers what Ruby asks of Go. [SQL] is the service "sql".
//   - A logical connection is a connection object in Ruby. It does not hold a
//     connection of the pool. In a step it uses the session of the step, and
//     elsewhere a session of its own (sqlsession).
//   - An adapter is what handlers call: Tasker.db, Sequel or ActiveRecord. All
//     three use logical connections.
//
// The way of a statement of a Ruby handler to PostgreSQL:
//
//	rubyhost/ruby/lib/tasker/postgres/channel.rb  writes it as bytes and asks the host
//	rubyhost/request.c, rubyhost/service.go       carry the bytes to Go and the answer back
//	sqlwire.go                                    reads the bytes, and writes the answer
//	sqlnotices.go                                 writes the notices that come before it
//	sql.go                                        finds the session, and runs it there
//	orchestration/sqlsession                      checks it and sends it to PostgreSQL
//
// events.go tells subscribers in Ruby what happens to tasks; event_facts.go has what it tells.
//
// open.go opens an engine, Ruby and the handlers in one call. task_handlers.go checks contexts
// against the schemas of task handlers. handlers.go has the rest: how a step is given to its
// handler, and how a Ruby exception becomes an [orchestration.StepError].
package rubysteps
