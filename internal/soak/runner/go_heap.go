package runner

import (
	"reflect"
	"runtime"
	"runtime/metrics"
)

// goHeap is what living objects of Go use. After a collection, nothing else is counted.
func goHeap() int64 {
	fillWaits()
	fillWaits() // on a busy machine one can end before it has begun to wait
	runtime.GC()
	runtime.GC() // what the first one has found to be garbage may have had finalizers
	read := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(read)
	return int64(read[0].Value.Uint64())
}

// keptWaits is how many records of waiting goroutines a processor of Go keeps, at most.
const keptWaits = 128

// fillWaits gives Go's cache of those records the same size at each sample. A select needs
// a record for each of its channels, and leaves it to the processor on which it ends. So
// the caches fill by some bytes a step, for tens of thousands of steps. With one processor
// for a moment, Go drops the caches of the others; a wait for as many channels as it keeps
// records fills the one that remains.
func fillWaits() {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var cases []reflect.SelectCase
	for range keptWaits {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(make(chan struct{}))})
	}
	go cases[0].Chan.Close() // it begins when this goroutine waits
	reflect.Select(cases)
}
