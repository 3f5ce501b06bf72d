// Package runner is the process that a soak run measures. It boots Ruby and the engine,
// runs the tasks that package soak orders, and takes a sample at each quiet point.
//
// Nothing else lives in that process: the statistics, the display and the samples so far
// are in the command that has started it. So the command cannot disturb what it measures.
//
//	serve.go        reads orders and answers them
//	program.go      the templates, and their first steps alone
//	engine.go       runs tasks through the engine and its database
//	connections.go  counts the connections, and makes them alike
//	bridge.go       runs them through the bridge alone
//	contexts.go     what the tasks are given
//	clock.go        skips the waits for retries
//	sample.go       what the process uses
//	go_heap.go      and Go's heap, without what Go keeps for later
//	threads.go      makes Go's threads before the first sample
package runner
