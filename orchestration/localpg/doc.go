// Package localpg is the database that needs no set-up: a private PostgreSQL,
// run from the binaries that the system has, reached through a Unix socket
// only, and shared by all commands of one user.
//
//	server, err := localpg.Start(ctx, localpg.Options{})
//	...
//	defer server.Close()
//	pool, err := pgxpool.New(ctx, server.URL())
//
// The data stays in the user's state folder ([DefaultDir]) from one command to
// the next. A command that finds the server up joins it, and the last one out
// stops it, in whatever order they leave and however they end. With
// [Options.Ephemeral] the database is in a temporary folder, is nobody else's
// and goes with its server.
//
// # Who keeps it running
//
// The first command starts a supervisor, which is the same executable under the
// name tasker-rb-localpg, in a session of its own (so ^C in a terminal does
// not reach it), and the supervisor starts PostgreSQL. They agree through one
// file, lock, and Linux's open-file-description locks on four of its bytes. The
// kernel drops such a lock when its holder ends, also after kill -9, so there is
// no count that could go wrong and no stale state to guess about:
//
//	byte        held by                                 while
//	clients     every command, shared                   it uses the server
//	start       one command, exclusive                  it looks, starts, joins or leaves
//	supervisor  the supervisor, exclusive               it lives
//	server      PostgreSQL and its backends, exclusive  one of them lives
//
// The supervisor waits for the clients byte, exclusively. It gets it when the
// last command has left, stops the server under it, and ends: a command
// that comes meanwhile waits a moment for its share, and starts anew.
//
// PostgreSQL inherits the server byte instead of opening the file, so the
// byte is free only when its last process has gone. That proves a postmaster.pid or a
// socket file found then to be stale.
//
// If the supervisor itself is killed, PostgreSQL gets a SIGQUIT from the kernel
// (Pdeathsig): it ends at once, and recovers from its log at the next
// start. That signal is sent when the thread that started the child ends; the
// supervisor starts its children on the main thread, which lives as long as
// the process. If PostgreSQL dies under its clients, the supervisor starts
// it again.
//
// A child that a command forks without exec holds the command's share until it
// ends too.
//
// The supervisor is this package's init function, which takes the process over
// when its name (os.Args[0]) says so. Any program that imports the package can
// therefore start a server, a test binary too.
//
// # Whose server it is
//
// PostgreSQL refuses to run as root. Root's server runs as the user postgres,
// or as nobody where there is no such user, and then for good as the
// owner of the data. Anyone who reaches the socket is the database's
// superuser; the socket is in a folder that only its owner can enter.
package localpg
