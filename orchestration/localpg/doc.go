// Package localpg is the database that needs no set-up. It is a private
// PostgreSQL that runs from the binaries of the system. It is reached through a
// Unix socket only, and all commands of one user share it.
//
//	server, err := localpg.Start(ctx, localpg.Options{})
//	...
//	defer server.Close()
//	pool, err := pgxpool.New(ctx, server.URL())
//
// The data stays in the user's state folder ([DefaultDir]) from one command to
// the next. A command that finds the server running joins it. The last command
// to leave stops it, in whatever order they leave and however they end.
// With [Options.Ephemeral] the database is in a temporary folder, belongs to one
// command alone, and is removed with its server.
//
// # Who keeps it running
//
// The first command starts a supervisor, and the supervisor starts PostgreSQL.
// The supervisor is the same executable under the name tasker-rb-localpg, in a
// session of its own, so ^C in a terminal does not reach it. All of them agree
// through one file, lock, and Linux's open-file-description locks on four of its
// bytes. The kernel drops such a lock when its holder ends, also after kill -9.
// So no count can be wrong, and no state can be stale:
//
//	byte        held by                                 while
//	clients     every command, shared                   it uses the server
//	start       one command, exclusive                  it looks, starts, joins or leaves
//	supervisor  the supervisor, exclusive               it lives
//	server      PostgreSQL and its backends, exclusive  one of them lives
//
// A command's lock on the clients byte is its share in the server. The
// supervisor waits for that byte, exclusively. It gets it when the last command
// has left; then it stops the server, and ends. A command that comes meanwhile
// waits for its share, and starts a new supervisor.
//
// PostgreSQL inherits the server byte instead of opening the file, so the byte is
// free only when PostgreSQL's last process has ended. A postmaster.pid or a socket
// file that is found then is stale.
//
// If the supervisor itself is killed, PostgreSQL gets a SIGQUIT from the kernel
// (Pdeathsig): it ends at once, and recovers from its log at the next start. The
// kernel sends that signal when the thread that started the child ends. The
// supervisor therefore starts its children on the main thread, which lives as
// long as the process. If PostgreSQL dies while commands use it, the supervisor
// starts it again.
//
// A child that a command forks without exec holds the command's share until the
// child ends.
//
// The supervisor is this package's init function, which takes the process over
// when its name (os.Args[0]) says so. So any program that imports the package can
// start a server, a test binary too.
//
// # Prepared databases
//
// With [Options.Prepared] an ephemeral server begins with data that was made before: by
// initdb, and by a function of yours. The data is one file in the user's cache folder, for
// each version of PostgreSQL and each key. The supervisor unpacks it before it starts
// PostgreSQL, so that nothing is left when the command is killed meanwhile. It also packs it, when the
// server that made it has stopped; a file appears only if it is whole. A start takes some
// 0.2 s, in place of one second.
//
// # Whose server it is
//
// PostgreSQL refuses to run as root. Root's server runs as the user postgres, or
// as the user nobody where there is no postgres; from then on that user owns the
// data. Every user of the socket is the database's superuser. The socket is in a
// folder that only its owner can enter.
//
// # The files
//
//	localpg.go     Start, Close and the rest of the public API: a command's side
//	launch.go      starting the supervisor
//	supervisor.go  the supervisor
//	cluster.go     initdb and starting postgres, as the supervisor does it
//	process.go     a running postgres: waiting until it is ready, stopping it
//	lock.go        the lock file
//	place.go       the folders and their paths
//	prepared.go    databases that are made once and copied for each start
//	archive.go     the file of such a database
//	memory.go      a folder in memory
//	account.go     the user that PostgreSQL runs as
//	binaries.go    finding PostgreSQL's binaries
//	failure.go     hints for PostgreSQL's own messages
package localpg
