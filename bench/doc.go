// Package bench measures the engine beside other ways to do the same work: the
// same rows written by bare SQL, and River as the queue that hands out the
// tasks. It is a module of its own, so that a program that imports tasker-rb
// does not depend on River. It holds benchmarks only; run them from its folder:
//
//	go test -run '^$' -bench Diamond -benchtime 2000x
//
// Compare the figures of one run with each other, never with those of another
// run. docs/performance.md says how to read them.
package bench
