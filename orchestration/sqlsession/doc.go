// Package sqlsession runs the SQL of step handlers. A [Session] of a step has
// one transaction: it begins with the first statement, and only the engine ends
// it. A plain session, outside steps, has no such transaction: its user begins
// and ends transactions freely. The rules of both are in docs/transactions.md.
// The package knows neither Ruby nor the engine.
//
// The terms:
//
//   - A connection is one of the pool's. A session takes it when it needs one.
//   - The turn is the right to use the session. One goroutine has it at a time.
//   - A statement's owner is the thread that it comes from. Savepoints belong to
//     their owner.
//   - Settings are the SET statements of a handler's connection object. They are
//     in force only while its own statements run.
//   - A hook is a number that comes back once it is known whether the work
//     before it was committed.
//
// The way of a statement, one file for each part:
//
//	statement.go      the statement, its result, and the way from one to the other
//	classify.go       which statements a text holds, and what each does
//	scanner.go        where a statement ends, as PostgreSQL's lexer sees it
//	rules.go          what a step refuses; savepoints
//	build.go          what is sent before a statement, and in which form it is sent
//	kept.go           the engine's settings, while a handler may have others
//	settings.go       which SET precede a statement, and how they are taken back
//	send.go           how it is sent: extended protocol, simple protocol, alone
//	read.go           the rows of its result
//	copy.go           COPY
//	notices.go        the server's notices
//	effects.go        what a statement did to the transaction
//	gone.go           what follows after the loss of a transaction's connection
//
// The session itself:
//
//	session.go        a session, its turn, its connection
//	finish.go         the end of a session: commit, rollback
//	hooks.go          the hooks
//	trace.go          what is told of each statement, if somebody asks
//	around.go         what a test has happen at a statement
//	notifications.go  LISTEN and NOTIFY
//	go_tx.go          the [pgx.Tx] of a handler in Go
//	go_rows.go        the rows and batch results of that pgx.Tx
//
// Below it:
//
//	connection.go     a connection that a session has taken
//	prepared.go       the prepared statements of a connection
//	cancel.go         cancelling a statement when its context ends
//	error.go          the error of a statement
//	sqlstate.go       what a SQLSTATE means here
//	passing.go        which errors may be gone at the next try
package sqlsession
