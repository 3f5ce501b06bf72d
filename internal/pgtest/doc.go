// Package pgtest gives every test a fresh PostgreSQL database.
//
//	func TestStore(t *testing.T) {
//		t.Parallel()
//		pool := pgtest.New(t, pgtest.WithTemplate(migrate))
//		...
//	}
//
// Each test binary has one server for its databases. By default it is an
// ephemeral one (localpg). It ends with the binary, however that ends. If
// TASKER_TEST_DATABASE_URL names a server, that one is used; its user must be
// allowed to create databases. A database is a copy of a template that is made
// once. The copy takes some 10 ms, and is dropped when its test ends. A test that
// leaves a connection open fails.
//
// The ephemeral server does not wait for the disk, and keeps its data in memory
// (/dev/shm) if there is room. So it says nothing about speed on a disk. Its data is
// a copy of what initdb made once, which is kept in the user's cache folder.
//
// pgtest.go has what tests call; server.go makes and drops the databases.
package pgtest
