// Package daemon runs the programs of PostgreSQL, and others that refuse to run as
// root, for tests.
//
//	dir := daemon.Dir(t)
//	daemon.Run(t, daemon.Program(t, "initdb"), "-D", dir)
//	server := daemon.Start(t, dir, daemon.Program(t, "postgres"), "-D", dir)
//
// If the test runs as root, the programs run as the user postgres, or as the user
// nobody where there is no postgres. That user owns the folders that [Dir] makes.
//
// A program that [Start] has started ends with the test, and also when the test
// binary is killed. A killed binary leaves its folders. The next call of [Dir]
// removes them.
//
// To join or share a server, use localpg: it also restarts a server that dies. A
// program of this package that dies stays dead.
package daemon
