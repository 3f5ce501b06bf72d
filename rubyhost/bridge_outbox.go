package rubyhost

/*
#include "cbridge.h"

#cgo nocallback tasker_reply
#cgo noescape tasker_reply
*/
import "C"

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cockroachdb/errors"
	"golang.org/x/sys/unix"
)

// What a note is about.
const (
	noteLog     = C.TASKER_NOTE_LOG
	notePong    = C.TASKER_NOTE_PONG
	noteStopped = C.TASKER_NOTE_STOPPED
	noteStray   = C.TASKER_NOTE_STRAY
	noteStuck   = C.TASKER_NOTE_STUCK
	noteWaited  = C.TASKER_NOTE_WAITED
)

// readSoFar is what C knows of how far Go has read a pipe that children print into.
type readSoFar struct{ turn, bytes *uint64 }

func childrenRead(i int) readSoFar {
	r := &C.tasker_children_read[i]
	return readSoFar{(*uint64)(&r.turn), (*uint64)(&r.bytes)}
}

// begin says that Go reads now. C counts what is in the pipe, and must not count while some
// of it is on its way.
func (r readSoFar) begin() { atomic.AddUint64(r.turn, 1) }

// end says how much it was.
func (r readSoFar) end(n int) {
	atomic.AddUint64(r.bytes, uint64(n))
	atomic.AddUint64(r.turn, 1)
}

func (r readSoFar) total() uint64 { return atomic.LoadUint64(r.bytes) }

// receiver takes the messages from the outbox, one after the other, in the order
// in which Ruby has sent them.
type receiver interface {
	jobDone(call uint32)
	requestPosted(key unsafe.Pointer, service uint32, serial uint64, payload []byte)
	requestCancelled(key unsafe.Pointer)
	noted(topic uint32, serial uint64, text []byte)
}

// outbox is Go's end of the stack on which C puts its messages.
type outbox struct {
	event *os.File // an eventfd on the runtime's poller
	fd    int
	// delivering is held from taking messages until all of them are delivered. So
	// no message overtakes an earlier one, whichever goroutine takes it.
	delivering sync.Mutex
}

func openOutbox() (*outbox, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Wrap(err, "rubyhost: eventfd")
	}
	return &outbox{event: os.NewFile(uintptr(fd), "tasker-eventfd"), fd: fd}, nil
}

func (o *outbox) close() error { return o.event.Close() }

// drain hands every message to r until the outbox is closed. While busy says
// that messages are to be expected, drain polls for a short while before it
// sleeps: waking it costs both sides a system call.
func (o *outbox) drain(r receiver, spin time.Duration, busy func() bool) {
	some := func() bool { return o.deliverWaiting(r) }
	for {
		switch {
		case some(), busy() && poll(spin, some):
			runtime.Gosched() // let the callers run whose calls have ended
		case !o.wait():
			return
		}
	}
}

// standIn takes the messages while the drain goroutine sleeps, for at most the
// given time. A goroutine that has just answered Ruby calls it: Ruby often asks
// again at once, and polling sees that sooner than a sleeper can be woken.
func (o *outbox) standIn(r receiver, spin time.Duration) {
	asleep := (*uint32)(unsafe.Pointer(&C.tasker_the_host.go_asleep))
	if !atomic.CompareAndSwapUint32(asleep, 1, 0) {
		return // the drain goroutine is awake
	}
	poll(spin, func() bool { return o.deliverIfFree(r) })
	atomic.StoreUint32(asleep, 1)
	if hasMessages() {
		_, _ = unix.Write(o.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// wait sleeps until C has put a message on the empty outbox. It returns false
// when the outbox was closed.
func (o *outbox) wait() bool {
	asleep := (*uint32)(unsafe.Pointer(&C.tasker_the_host.go_asleep))
	atomic.StoreUint32(asleep, 1)
	if hasMessages() {
		atomic.StoreUint32(asleep, 0)
		return true
	}
	var count [8]byte
	_, err := o.event.Read(count[:])
	atomic.StoreUint32(asleep, 0)
	return err == nil
}

// deliverWaiting delivers the messages that are on the outbox. It returns false if
// there are none. Another goroutine may deliver earlier ones; it waits for that.
func (o *outbox) deliverWaiting(r receiver) bool {
	if !hasMessages() {
		return false
	}
	o.delivering.Lock()
	defer o.delivering.Unlock()
	return deliverAll(takeMessages(), r)
}

// deliverIfFree is deliverWaiting, but it leaves the messages to a goroutine that
// is delivering others.
func (o *outbox) deliverIfFree(r receiver) bool {
	if !hasMessages() || !o.delivering.TryLock() {
		return false
	}
	defer o.delivering.Unlock()
	return deliverAll(takeMessages(), r)
}

func hasMessages() bool {
	return atomic.LoadPointer((*unsafe.Pointer)(unsafe.Pointer(&C.tasker_the_host.outbox))) != nil
}

// takeMessages takes every message off the outbox and returns them as a list,
// oldest first. The caller holds delivering.
func takeMessages() *C.tasker_node {
	newest := (*C.tasker_node)(atomic.SwapPointer((*unsafe.Pointer)(unsafe.Pointer(&C.tasker_the_host.outbox)), nil))
	var oldest *C.tasker_node
	for newest != nil {
		next := newest.next
		newest.next = oldest
		oldest, newest = newest, next
	}
	return oldest
}

// deliverAll delivers a list of messages. It returns false if the list is empty.
func deliverAll(node *C.tasker_node, r receiver) bool {
	if node == nil {
		return false
	}
	for node != nil {
		next := node.next // deliver may free the node
		deliver((*C.tasker_message)(unsafe.Pointer(node)), r)
		node = next
	}
	return true
}

func deliver(m *C.tasker_message, r receiver) {
	switch m.kind {
	case C.TASKER_MSG_JOB:
		r.jobDone(uint32((*job)(unsafe.Pointer(m)).call))
	case C.TASKER_MSG_REQUEST:
		q := (*C.tasker_request)(unsafe.Pointer(m))
		payload := C.GoBytes(unsafe.Pointer(q.payload), C.int(q.payload_len))
		r.requestPosted(unsafe.Pointer(q), uint32(q.service), uint64(q.serial), payload)
	case C.TASKER_MSG_CANCEL:
		c := (*C.tasker_cancel)(unsafe.Pointer(m))
		r.requestCancelled(unsafe.Pointer(c.request))
		C.tasker_cancel_free(c)
	case C.TASKER_MSG_NOTE:
		n := (*C.tasker_note)(unsafe.Pointer(m))
		text := C.GoBytes(unsafe.Add(unsafe.Pointer(n), C.sizeof_tasker_note), C.int(n.text_len))
		r.noted(uint32(n.topic), uint64(n.serial), text)
		C.tasker_note_free(n)
	}
}

// reply answers the request. The key may not be used again.
func reply(key unsafe.Pointer, failed bool, data []byte) {
	status := C.uint32_t(0)
	if failed {
		status = 1
	}
	C.tasker_reply((*C.tasker_request)(key), status, unsafe.Pointer(unsafe.SliceData(data)), C.uint64_t(len(data)))
}
