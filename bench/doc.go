// Program bench measures the whole of tasker-rb beside other ways to do the same work.
// `make bench` runs it; docs/performance.md says how to read it.
//
// It starts a PostgreSQL of its own on a disk, with the settings that initdb gives. The
// contenders take turns for some rounds. In each round a contender gets a new database.
// All tasks are submitted first. The contender's program then starts and connects. The
// clock runs from the moment when it takes its first task until the last task is done.
// Then the work is verified, and a round that has lost some of it fails the run.
//
//	main.go         the flags, and the order of the rounds
//	shape.go        the kinds of tasks
//	round.go        one round of one contender
//	work.go         what a contender is told
//	contender.go    what a contender is
//	contenders.go   which there are, and which are missing here
//	tasker.go, engine.go, floor.go, rubypg.go, dbos.go, river.go, sidekiq.go, delayedjob.go
//	                the contenders, one a file; their Ruby is in the folder contenders
//	prune.go        deletes old tasks beside the measured ones
//	child.go        the contenders in Go as processes of their own
//	ourtables.go    all that knows the engine's tables
//	postgres.go, redis.go, process.go
//	                the servers, and programs in general
//	processors.go   how much processors' time a process and its children have used
//	statistics.go, figure.go, report.go
//	                medians, quartiles, tables and JSON
//
// It is a module of its own, so that a program that imports tasker-rb does not depend on
// the contenders.
package main
