package rubyhost

/*
#cgo pkg-config: ruby
#cgo CFLAGS: -std=gnu11
#cgo LDFLAGS: -Wl,--as-needed -rdynamic -ldl -lpthread
#include <stdlib.h>
#include <string.h>
#include "cbridge.h"

#cgo nocallback tasker_job_new
#cgo noescape tasker_job_new
#cgo nocallback tasker_job_free
#cgo noescape tasker_job_free
#cgo nocallback tasker_submitted
#cgo noescape tasker_submitted
#cgo nocallback tasker_reply
#cgo noescape tasker_reply
*/
import "C"

import (
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/cockroachdb/errors"
	"golang.org/x/sys/unix"
)

// This file is the only one that names C. Everything else speaks Go.

// job is one call in C's memory; see cbridge.h for who owns it when.
type job = C.tasker_job

const (
	jobOK       = C.TASKER_OK
	jobRaised   = C.TASKER_RAISED
	jobKilled   = C.TASKER_KILLED
	jobSkipped  = C.TASKER_SKIPPED
	jobJumped   = C.TASKER_JUMPED
	jobNoMemory = C.TASKER_NO_MEMORY

	controlRaise    = C.TASKER_RAISE
	controlKill     = C.TASKER_KILL
	controlWriteOff = C.TASKER_WRITE_OFF
	controlPing     = C.TASKER_PING
	controlStop     = C.TASKER_STOP

	noteLog     = C.TASKER_NOTE_LOG
	notePong    = C.TASKER_NOTE_PONG
	noteStopped = C.TASKER_NOTE_STOPPED
	noteStray   = C.TASKER_NOTE_STRAY
)

// bootInterpreter starts CRuby with the given command line and loads main.
func bootInterpreter(o Options, eventFD int, main string) error {
	args := []string{o.Program, "-EUTF-8:UTF-8"}
	for _, dir := range o.LoadPath {
		args = append(args, "-I", dir)
	}
	if o.Gemfile != "" {
		// Before any gem is activated, the default ones among them.
		if err := os.Setenv("BUNDLE_GEMFILE", o.Gemfile); err != nil {
			return errors.Wrap(err, "setting BUNDLE_GEMFILE")
		}
		args = append(args, "-rbundler/setup")
	}
	args = append(args, o.RubyOptions...)
	if o.YJIT {
		args = append(args, "--yjit", "--yjit-exec-mem-size=16")
	}
	// An empty script: without one the interpreter would read standard input.
	args = append(args, "-e", "")

	// $0= writes over the strings, which must therefore be writable, lie one
	// after the other and live as long as the process.
	block := (*C.char)(C.CBytes([]byte(strings.Join(args, "\x00") + "\x00")))
	argv := unsafe.Slice((**C.char)(C.calloc(C.size_t(len(args)+1), C.size_t(unsafe.Sizeof(block)))), len(args)+1)
	at := unsafe.Pointer(block)
	for i, arg := range args {
		argv[i] = (*C.char)(at)
		at = unsafe.Add(at, len(arg)+1)
	}
	options := (*C.tasker_boot_options)(C.calloc(1, C.sizeof_tasker_boot_options))
	*options = C.tasker_boot_options{
		threads:  C.uint32_t(o.Threads),
		spin_ns:  C.int64_t(max(o.Spin, 0)),
		event_fd: C.int(eventFD),
		argc:     C.int(len(args)),
		argv:     &argv[0],
		main:     C.CString(main),
	}
	if message := C.tasker_boot(options); message != nil {
		defer C.free(unsafe.Pointer(message))
		return errors.Newf("%s", strings.TrimSpace(C.GoString(message)))
	}
	return nil
}

// A job's memory goes from call to call, if it is no more than this: entering
// C for memory costs as much as the rest of a small call in Go.
const (
	jobRoom  = 4 << 10
	keepRoom = 16 << 10
)

// fillJob copies the segments into a job of C's: into j, if there is one and
// it has the room, or else into a new one. Nil means that there is no memory.
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

// spareJob returns the job for the next call, or frees it and returns nil when
// it has grown large.
func spareJob(j *job) *job {
	if j.room > keepRoom || j.result_cap > keepRoom {
		freeJob(j)
		return nil
	}
	return j
}

// label says which call a job belongs to.
func label(j *job, serial uint64, slot uint32) {
	j.serial, j.slot = C.uint64_t(serial), C.uint32_t(slot)
}

// submit gives the job to the workers. It is tasker_queue_submit, without the
// cost of entering C where nobody has to be woken.
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
			return // nobody else is there to wake, or a rescue is on its way
		}
	}
	C.tasker_submitted()
}

// freeJob frees a job that Go owns.
func freeJob(j *job) { C.tasker_job_free(j) }

// resultOf copies what the job left.
func resultOf(j *job) []byte {
	if j.result_len == 0 {
		return nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(j.result)), int(j.result_len))...)
}

// The states of a job that its caller polls, see cbridge.h.
func setSpinning(j *job) { j.state = C.TASKER_SPINNING }

func isDone(j *job) bool {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&j.state))) == C.TASKER_DONE
}

// park ends the polling. False means that the job is done already and will
// not come through the outbox.
func park(j *job) bool {
	return atomic.CompareAndSwapUint32((*uint32)(unsafe.Pointer(&j.state)), C.TASKER_SPINNING, C.TASKER_PARKED)
}

// cancelJob tells the workers not to begin j, and reports whether one has.
func cancelJob(j *job) (started bool) {
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&j.cancel)), 1)
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&j.started))) != 0
}

func control(what uint32, serial uint64) bool {
	return bool(C.tasker_control(C.uint32_t(what), C.uint64_t(serial)))
}

// receiver is what the outbox is drained into.
type receiver interface {
	jobDone(slot uint32)
	requestPosted(key unsafe.Pointer, service uint32, serial uint64, payload []byte)
	requestAbandoned(key unsafe.Pointer)
	noted(topic uint32, serial uint64, text []byte)
}

// outbox is Go's end of the stack on which C puts its messages.
type outbox struct {
	event *os.File // an eventfd on the runtime's poller
	fd    int
}

func openOutbox() (*outbox, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Wrap(err, "rubyhost: eventfd")
	}
	return &outbox{event: os.NewFile(uintptr(fd), "tasker-eventfd"), fd: fd}, nil
}

func (o *outbox) close() error { return o.event.Close() }

func takeMessages() *C.tasker_node {
	top := (*unsafe.Pointer)(unsafe.Pointer(&C.tasker_the_host.outbox))
	if atomic.LoadPointer(top) == nil {
		return nil
	}
	newest := (*C.tasker_node)(atomic.SwapPointer(top, nil))
	var oldest *C.tasker_node
	for newest != nil {
		next := newest.next
		newest.next = oldest
		oldest, newest = newest, next
	}
	return oldest
}

// wait sleeps until C has put a message on the empty outbox. False means that
// the outbox was closed.
func (o *outbox) wait() bool {
	asleep := (*uint32)(unsafe.Pointer(&C.tasker_the_host.go_asleep))
	atomic.StoreUint32(asleep, 1)
	if atomic.LoadPointer((*unsafe.Pointer)(unsafe.Pointer(&C.tasker_the_host.outbox))) != nil {
		atomic.StoreUint32(asleep, 0)
		return true
	}
	var count [8]byte
	_, err := o.event.Read(count[:])
	atomic.StoreUint32(asleep, 0)
	return err == nil
}

// drain hands every message to r until the outbox is closed. While busy says
// that messages are to be expected, it looks for them for a short while before
// it sleeps: being woken costs both sides a system call.
func (o *outbox) drain(r receiver, spin time.Duration, busy func() bool) {
	for {
		node := takeMessages()
		if node == nil && busy() {
			node = lookFor(spin)
		}
		if node == nil {
			if !o.wait() {
				return
			}
			continue
		}
		for node != nil {
			next := node.next
			deliver((*C.tasker_message)(unsafe.Pointer(node)), r)
			node = next
		}
		runtime.Gosched() // to those whose calls have ended
	}
}

// standIn takes the messages while the goroutine of drain sleeps, for at most
// the given time: whoever has just answered Ruby and may well be asked again
// finds that out quicker than a sleeper can be woken.
func (o *outbox) standIn(r receiver, spin time.Duration) {
	asleep := (*uint32)(unsafe.Pointer(&C.tasker_the_host.go_asleep))
	if !atomic.CompareAndSwapUint32(asleep, 1, 0) {
		return // it is awake
	}
	for node := lookFor(spin); node != nil; {
		next := node.next
		deliver((*C.tasker_message)(unsafe.Pointer(node)), r)
		node = next
	}
	atomic.StoreUint32(asleep, 1)
	if atomic.LoadPointer((*unsafe.Pointer)(unsafe.Pointer(&C.tasker_the_host.outbox))) != nil {
		_, _ = unix.Write(o.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// lookFor polls the outbox.
func lookFor(spin time.Duration) (found *C.tasker_node) {
	poll(spin, func() bool {
		found = takeMessages()
		return found != nil
	})
	return found
}

// poll asks until the answer is yes, or the time is over. It does not yield to
// other goroutines: each time the scheduler would wake a further thread to run
// them, which would take the processor from the Ruby thread that is awaited.
func poll(spin time.Duration, ask func() bool) bool {
	began := time.Now()
	for i := 1; ; i++ {
		for range 16 {
			if ask() {
				return true
			}
			pause()
		}
		if time.Since(began) > spin {
			return false
		}
		if i%4 == 0 {
			giveWay()
		}
	}
}

var pauses atomic.Uint32

// giveWay lets the Ruby thread run if it waits for this very processor. It is
// not runtime.Gosched, which is about goroutines.
func giveWay() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
}

// pause takes some 20 ns and leaves most of the core to its other hardware
// thread: each step needs the result of the one before.
func pause() {
	x := pauses.Load()
	for range 20 {
		x = x*1664525 + 1013904223
	}
	if x == 1 {
		pauses.Store(x)
	}
}

func deliver(m *C.tasker_message, r receiver) {
	switch m.kind {
	case C.TASKER_MSG_JOB:
		r.jobDone(uint32((*job)(unsafe.Pointer(m)).slot))
	case C.TASKER_MSG_REQUEST:
		q := (*C.tasker_request)(unsafe.Pointer(m))
		payload := C.GoBytes(unsafe.Pointer(q.payload), C.int(q.payload_len))
		r.requestPosted(unsafe.Pointer(q), uint32(q.service), uint64(q.serial), payload)
	case C.TASKER_MSG_CANCEL:
		c := (*C.tasker_cancel)(unsafe.Pointer(m))
		r.requestAbandoned(unsafe.Pointer(c.request))
		C.tasker_cancel_free(c)
	case C.TASKER_MSG_NOTE:
		n := (*C.tasker_note)(unsafe.Pointer(m))
		text := C.GoBytes(unsafe.Add(unsafe.Pointer(n), C.sizeof_tasker_note), C.int(n.text_len))
		r.noted(uint32(n.topic), uint64(n.serial), text)
		C.tasker_note_free(n)
	}
}

// reply answers the request; key may not be used again.
func reply(key unsafe.Pointer, failed bool, data []byte) {
	status := C.uint32_t(0)
	if failed {
		status = 1
	}
	C.tasker_reply((*C.tasker_request)(key), status, unsafe.Pointer(unsafe.SliceData(data)), C.uint64_t(len(data)))
}

// notesPosted counts those of every job that has ended, and of some that run.
func notesPosted() uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&C.tasker_the_host.counters.notes)))
}

// counters are what C counts, read without a lock.
type counters struct {
	pending                                           int64
	busy, workers, respawns, writtenOff, jobs, yields uint64
	shortOfThreads                                    bool
}

func readCounters() counters {
	c := &C.tasker_the_host.counters
	load := func(p *C.uint64_t) uint64 { return atomic.LoadUint64((*uint64)(unsafe.Pointer(p))) }
	return counters{
		pending:    atomic.LoadInt64((*int64)(unsafe.Pointer(&C.tasker_the_host.queue.pending))),
		busy:       load(&c.busy),
		workers:    load(&c.workers),
		respawns:   load(&c.respawns),
		writtenOff: load(&c.written_off),
		jobs:       load(&c.jobs),
		yields:     load(&c.yields),

		shortOfThreads: load(&c.short_of_threads) != 0,
	}
}
