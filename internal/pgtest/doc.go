// Package pgtest gives every test a fresh PostgreSQL database.
//
//	func TestStore(t *testing.T) {
//		t.Parallel()
//		pool := pgtest.New(t, pgtest.WithTemplate(migrate))
//		...
//	}
//
// The databases are on one server for each test binary: an ephemeral one
// (localpg), which ends with the binary, however that ends, or the server that
// TASKER_TEST_DATABASE_URL names, whose user must be allowed to create
// databases. A database is copied from a template that was made once, which
// takes some 20 ms, and is dropped when its test ends. A test that leaves a
// connection open fails.
//
// The ephemeral server does not wait for the disk, and keeps its data in memory
// (/dev/shm) where there is room. It says nothing about speed on a disk.
package pgtest
