// Package soak decides whether the memory of step handlers is stable, and says what grows
// if it is not.
//
// It knows no cgo and no database. A [Runner], in another process, runs tasks and reports
// a [Sample] at each quiet point. This package plans how many tasks run between two samples,
// asks package verdict for the growth of each measure, and puts what it finds into a
// [Result].
package soak
