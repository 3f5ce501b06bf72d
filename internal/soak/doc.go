// Package soak decides whether the memory of step handlers is stable, and says what grows
// if it is not.
//
// It knows no cgo and no database. A runner, in another process, runs tasks and answers with
// a [Sample] at each quiet point; a [Remote] is its end here. This package plans how many
// tasks run between two samples, asks package verdict for the growth of each measure, and
// puts what it finds into a [Result].
//
//	run.go       how many tasks run, how often the verdict is asked for
//	conclude.go  the result: verdict, measures, notes
//	places.go    which kind of memory grows
//	explain.go   the class that grows, and the line
//	protocol.go  what is said to a runner, and what it answers
//	remote.go    its process
//	measure.go   what is measured
package soak
