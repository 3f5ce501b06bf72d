package sqlsession_test

import (
	"context"
	"fmt"
	"io"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// Class names what an error is about. Ruby has a class of that name below
// Tasker::SQLError.
func ExampleError_Class() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	defer session.Close(ctx)
	for _, text := range []string{"select 1 / 0", "select * from nowhere", "select misspelt()"} {
		_, err := session.Exec(ctx, &sqlsession.Statement{SQL: text})
		var failure *sqlsession.Error
		if errors.As(err, &failure) {
			fmt.Println(failure.SQLState, failure.Class())
		}
	}
	// Output:
	// 22012 DataException
	// 42P01 UndefinedTable
	// 42883 UndefinedFunction
}

// Passing tells the errors that another attempt may not meet.
func ExampleError_Passing() {
	fmt.Println((&sqlsession.Error{SQLState: "40P01"}).Passing()) // a deadlock
	fmt.Println((&sqlsession.Error{SQLState: "08006"}).Passing()) // the connection is lost
	fmt.Println((&sqlsession.Error{SQLState: "23505"}).Passing()) // a key exists already
	// Output:
	// true
	// true
	// false
}

// Programming tells the errors of code that is wrong.
func ExampleError_Programming() {
	fmt.Println((&sqlsession.Error{SQLState: "42P01"}).Programming()) // there is no such table
	fmt.Println((&sqlsession.Error{SQLState: "23505"}).Programming()) // a key exists already
	// Output:
	// true
	// false
}

// PostgreSQL's own error is inside, with all that it says.
func ExampleError_Unwrap() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	defer session.Close(ctx)
	_, err := session.Exec(ctx, &sqlsession.Statement{SQL: "select 'x'::int"})
	var server *pgconn.PgError
	fmt.Println(errors.As(err, &server), server.Severity, server.Position)
	// Output: true ERROR 8
}

// Passing is the same for any error, also for one of pgx.
func ExamplePassing() {
	fmt.Println(sqlsession.Passing(&pgconn.PgError{Code: "40001"})) // a serialization failure
	fmt.Println(sqlsession.Passing(&pgconn.PgError{Code: "42P01"})) // there is no such table
	fmt.Println(sqlsession.Passing(io.ErrUnexpectedEOF))            // the server has hung up
	// Output:
	// true
	// false
	// true
}

// ConnectionLost tells that a statement had no answer. It may have been executed.
func ExampleConnectionLost() {
	fmt.Println(sqlsession.ConnectionLost(io.ErrUnexpectedEOF))
	fmt.Println(sqlsession.ConnectionLost(&pgconn.PgError{Code: "57P02"})) // the server has crashed
	fmt.Println(sqlsession.ConnectionLost(&pgconn.PgError{Code: "23505"}))
	// A pooler has lost its server. PostgreSQL itself says 08P01 of a wrong number of parameters.
	fmt.Println(sqlsession.ConnectionLost(&pgconn.PgError{Code: "08P01", Severity: "FATAL", Message: "server conn crashed?"}))
	fmt.Println(sqlsession.ConnectionLost(&pgconn.PgError{Code: "08P01", Severity: "ERROR", Routine: "exec_bind_message"}))
	// Output:
	// true
	// true
	// false
	// true
	// false
}

// A fate has a name, for logs.
func ExampleFate_String() {
	fmt.Println(sqlsession.Committed, sqlsession.RolledBack, sqlsession.Unknown)
	// Output: committed rolled back unknown
}
