package sqlsession_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// Outside steps each statement commits by itself, until the session's user begins
// a transaction. Only then does the session keep a connection.
func ExamplePlain() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	defer session.Close(ctx)
	for _, text := range []string{"select 1", "begin", "select 2", "commit"} {
		result, err := session.Exec(ctx, &sqlsession.Statement{SQL: text})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%-8s %c %v\n", text, result.Status, session.Holds())
	}
	// Output:
	// select 1 I false
	// begin    T true
	// select 2 T true
	// commit   I false
}

// Exec returns the values of all rows one after the other, as the server wrote
// them. Ends says where each one ends; for NULL it is the complement of that.
func ExampleSession_Exec() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	defer session.Close(ctx)
	result, err := session.Exec(ctx, &sqlsession.Statement{
		SQL:    "select n, nullif(n, 2) from generate_series(1, $1::int) n",
		Params: [][]byte{[]byte("3")},
	})
	if err != nil {
		log.Fatal(err)
	}
	begin := int32(0)
	for i, end := range result.Ends {
		value := "NULL"
		if end >= 0 {
			value = string(result.Values[begin:end])
		} else {
			end = ^end
		}
		begin = end
		fmt.Println(i/len(result.Fields), result.Fields[i%len(result.Fields)].Name, value)
	}
	// Output:
	// 0 n 1
	// 0 nullif 1
	// 1 n 2
	// 1 nullif NULL
	// 2 n 3
	// 2 nullif 3
}

// CopyIn carries the data of a COPY ... FROM STDIN. A COPY ... TO STDOUT needs
// Exec only: its lines come as rows.
func ExampleSession_CopyIn() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	defer session.Close(ctx)
	if _, err := session.Exec(ctx, &sqlsession.Statement{SQL: "drop table if exists towns; create table towns (name text, people int)"}); err != nil {
		log.Fatal(err)
	}
	result, err := session.CopyIn(ctx, &sqlsession.Statement{SQL: "copy towns from stdin (format csv)"}, []byte("Ulm,128000\nJena,111000\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Tag)
	result, err = session.Exec(ctx, &sqlsession.Statement{SQL: "copy (select name from towns order by 1) to stdout"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(result.Values))
	// Output:
	// COPY 2
	// Jena
	// Ulm
}

// A plain session may listen. It keeps its connection for that.
func ExampleSession_Notified() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	defer session.Close(ctx)
	if _, err := session.Exec(ctx, &sqlsession.Statement{SQL: "listen orders"}); err != nil {
		log.Fatal(err)
	}
	if _, err := pool.Exec(ctx, "notify orders, '42'"); err != nil {
		log.Fatal(err)
	}
	n, err := session.Notified(ctx, time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n.Channel, n.Payload)
	n, err = session.Notified(ctx, 0) // does not wait
	fmt.Println(n, err)
	// Output:
	// orders 42
	// <nil> <nil>
}

// Status is PostgreSQL's letter: I outside a transaction, T inside one, E after a
// failed statement.
func ExampleSession_Status() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	defer session.Close(ctx)
	for _, text := range []string{"", "begin", "select 1 / 0", "rollback"} {
		if text != "" {
			_, _ = session.Exec(ctx, &sqlsession.Statement{SQL: text}) // the third one fails, as it should
		}
		status, err := session.Status(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%c\n", status)
	}
	// Output:
	// I
	// T
	// E
	// I
}

// Close rolls back what is open and gives the connection back.
func ExampleSession_Close() {
	ctx := context.Background()
	pool := openDatabase(ctx)
	defer pool.Close()
	session := sqlsession.Plain(pool)
	if _, err := session.Exec(ctx, &sqlsession.Statement{SQL: "begin"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Holds())
	session.Close(ctx)
	fmt.Println(session.Holds())
	// Output:
	// true
	// false
}

// A statement hears what the server has to say about it. A program that uses
// orchestration.ConfigurePool need not call ReceiveNotices.
func ExampleReceiveNotices() {
	ctx := context.Background()
	opened := openDatabase(ctx)
	defer opened.Close()
	config := opened.Config()
	sqlsession.ReceiveNotices(&config.ConnConfig.Config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	session := sqlsession.Plain(pool)
	defer session.Close(ctx)
	_, err = session.Exec(ctx, &sqlsession.Statement{
		SQL:      "drop table if exists nothing",
		OnNotice: func(n *pgconn.Notice) { fmt.Println(n.Severity, n.Message) },
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// NOTICE table "nothing" does not exist, skipping
}
