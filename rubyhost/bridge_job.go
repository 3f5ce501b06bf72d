package rubyhost

/*
#include "cbridge.h"

#cgo nocallback tasker_job_new
#cgo noescape tasker_job_new
#cgo nocallback tasker_job_free
#cgo noescape tasker_job_free
#cgo nocallback tasker_submitted
#cgo noescape tasker_submitted
*/
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// job is C's record of a call; cbridge.h says who owns it when.
type job = C.tasker_job

// How a job ended.
const (
	jobOK      = C.TASKER_OK
	jobRaised  = C.TASKER_RAISED
	jobKilled  = C.TASKER_KILLED
	jobSkipped = C.TASKER_SKIPPED
	jobJumped  = C.TASKER_JUMPED
)

// A call keeps its job's memory for the next call, up to keepRoom bytes:
// entering C for memory costs as much as the rest of a small call in Go.
const (
	jobRoom  = 4 << 10
	keepRoom = 16 << 10
)

// fillJob copies the segments into a job. It uses j if that is not nil and has
// the room, and a new job otherwise. It returns nil when memory has run out.
func fillJob(j *job, target uint32, segments [][]byte) *job {
	total := 0
	for _, s := range segments {
		total += len(s)
	}
	heads := len(segments) * C.sizeof_uint64_t
	if j != nil && int(j.room) < heads+total {
		freeJob(j)
		j = nil
	}
	if j == nil {
		if j = C.tasker_job_new(C.uint64_t(max(heads+total, jobRoom))); j == nil {
			return nil
		}
	}
	j.state, j.cancel, j.started, j.status = C.TASKER_PARKED, 0, 0, C.TASKER_OK
	j.target, j.segments = C.uint32_t(target), C.uint32_t(len(segments))
	lengths := unsafe.Slice((*uint64)(j.lengths), len(segments))
	at := unsafe.Add(unsafe.Pointer(j.lengths), heads)
	j.payload = (*C.char)(at)
	payload := unsafe.Slice((*byte)(at), total)
	for i, s := range segments {
		lengths[i] = uint64(len(s))
		payload = payload[copy(payload, s):]
	}
	return j
}

// label notes in the job which call it belongs to, and whether the threads that
// its code starts end with it.
func label(j *job, serial uint64, call uint32, endThreads bool) {
	j.serial, j.call, j.ends_threads = C.uint64_t(serial), C.uint32_t(call), 0
	if endThreads {
		j.ends_threads = 1
	}
}

// spareJob returns j for the next call. It frees j and returns nil when j has
// grown large.
func spareJob(j *job) *job {
	if j.room > keepRoom || j.result_cap > keepRoom {
		freeJob(j)
		return nil
	}
	return j
}

// freeJob frees a job that Go owns.
func freeJob(j *job) { C.tasker_job_free(j) }

// submit gives the job to the workers. It does what tasker_queue_submit does,
// but enters C only when a thread has to be woken.
func submit(j *job) {
	q := &C.tasker_the_host.queue
	inbox := (*uintptr)(unsafe.Pointer(&q.inbox))
	for {
		newest := atomic.LoadUintptr(inbox)
		*(*uintptr)(unsafe.Pointer(&j.msg.node.next)) = newest
		if atomic.CompareAndSwapUintptr(inbox, newest, uintptr(unsafe.Pointer(j))) {
			break
		}
	}
	atomic.AddInt64((*int64)(&q.pending), 1)
	load := func(p *C.uint32_t) uint32 { return atomic.LoadUint32((*uint32)(p)) }
	if load(&C.tasker_the_host.ticker_asleep) == 0 {
		if load(&q.searching) != 0 {
			return // the searcher will see this job
		}
		active := load(&q.active)
		if active > 0 && (active >= load(&q.attached) || load(&q.watch) != 0) {
			return // every worker is awake, or a rescue is due already
		}
	}
	C.tasker_submitted()
}

// setSpinning says, before the job is submitted, that its caller polls isDone.
func setSpinning(j *job) { j.state = C.TASKER_SPINNING }

// isDone reports whether a job whose caller polls has ended.
func isDone(j *job) bool {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&j.state))) == C.TASKER_DONE
}

// park ends the polling: from now on the job comes through the outbox. It
// returns false when the job has ended already, and will not come.
func park(j *job) bool {
	return atomic.CompareAndSwapUint32((*uint32)(unsafe.Pointer(&j.state)), C.TASKER_SPINNING, C.TASKER_PARKED)
}

// cancelJob tells the workers not to begin j, and reports whether one has
// begun it already.
func cancelJob(j *job) (started bool) {
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&j.cancel)), 1)
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&j.started))) != 0
}

// resultOf copies the job's result.
func resultOf(j *job) []byte {
	if j.result_len == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(j.result)), int(j.result_len))...)
}
