package rubyhost

/*
#include "cbridge.h"
*/
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// counters are what C counts. Go reads them without a lock.
type counters struct {
	pending                                          int64
	busy, workers, respawns, abandoned, jobs, yields uint64
	threads, threadsEnded, threadsAbandoned          uint64
	childrenLeft                                     uint64
	gvlWaits, gvlWaitedNS                            uint64
	shortOfThreads                                   bool
}

func readCounters() counters {
	c := &C.tasker_the_host.counters
	load := func(p *C.uint64_t) uint64 { return atomic.LoadUint64((*uint64)(unsafe.Pointer(p))) }
	return counters{
		pending:   atomic.LoadInt64((*int64)(unsafe.Pointer(&C.tasker_the_host.queue.pending))),
		busy:      load(&c.busy),
		workers:   load(&c.workers),
		respawns:  load(&c.respawns),
		abandoned: load(&c.abandoned),
		jobs:      load(&c.jobs),
		yields:    load(&c.yields),
		threads:   load(&c.threads),

		threadsEnded:     load(&c.threads_ended),
		threadsAbandoned: load(&c.threads_abandoned),
		childrenLeft:     load(&c.children_left),

		gvlWaits:    load(&c.gvl_waits),
		gvlWaitedNS: load(&c.gvl_waited_ns),

		shortOfThreads: load(&c.short_of_threads) != 0,
	}
}

// notesPosted counts the notes that Ruby has posted. It includes every note of
// a job that has ended.
func notesPosted() uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&C.tasker_the_host.counters.notes)))
}
