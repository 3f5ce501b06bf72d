package rubyhost

import (
	"context"
	"encoding/json"
	"time"

	"github.com/cockroachdb/errors"
)

// Stats are counters of a [Host]. Those of type int say how things are now;
// those of type uint64 count since Boot.
type Stats struct {
	Threads   int    // worker threads alive, without the abandoned ones
	Busy      int    // worker threads inside a call
	Queued    int    // calls waiting for a thread
	InFlight  int    // calls that Go callers wait for
	Requests  int    // questions from Ruby (see Serve) that Go is answering
	Calls     uint64 // calls that have ended, in any way
	Timeouts  uint64 // calls whose context ended first
	Late      uint64 // results that arrived after their call's context ended, and were dropped
	Respawns  uint64 // threads replaced
	Abandoned int    // abandoned threads that still run
	Yields    uint64 // times the fairness ticker made a thread give way; since CRuby 3.3 only when another waits

	// How often a thread had to wait for Ruby's lock (the GVL), and for how long in
	// all. Threads of handlers and of gems count too. A thread that waits now counts
	// when it gets the lock. With a CRuby older than 3.3 both are 0. They are not
	// exact while a Ractor runs, because it has a lock of its own.
	GVLWaits  uint64
	GVLWaited time.Duration

	OtherThreads     int    // living threads that Ruby code has started
	ThreadsEnded     uint64 // threads of steps that were ended with their step
	ThreadsAbandoned int    // threads of steps that did not end, and still run
	ChildrenLeft     uint64 // children that steps left running
}

// Stats reads the counters. It never waits for Ruby.
func (h *Host) Stats() Stats {
	c := readCounters()
	return Stats{
		Threads: int(c.workers), Busy: int(c.busy), Queued: int(max(c.pending, 0)), InFlight: int(h.inFlight.Load()),
		Requests: int(h.services.answering.Load()),
		Calls:    c.jobs, Timeouts: h.timeouts.Load(), Late: h.late.Load(), Respawns: c.respawns,
		Abandoned: int(c.abandoned), Yields: c.yields,
		GVLWaits: c.gvlWaits, GVLWaited: time.Duration(c.gvlWaitedNS),
		OtherThreads: int(c.threads), ThreadsEnded: c.threadsEnded, ThreadsAbandoned: int(c.threadsAbandoned), ChildrenLeft: c.childrenLeft,
	}
}

// GCStats is what CRuby reports about its heap.
type GCStats struct {
	Count          uint64        // collections
	MajorCount     uint64        // full collections
	Time           time.Duration // spent in collections
	HeapLiveSlots  uint64
	HeapFreeSlots  uint64
	OldObjects     uint64 // that have survived several collections
	HeapPages      uint64
	MallocIncrease uint64 // bytes allocated by C code since the last collection
	TotalAllocated uint64 // objects
	TotalFreed     uint64 // objects
	RubyVersion    string
	YJIT           bool
}

// GCStats asks Ruby; it waits for a worker thread as any call does.
func (h *Host) GCStats(ctx context.Context) (GCStats, error) {
	value, err := h.call(ctx, opStats)
	if err != nil {
		return GCStats{}, err
	}
	var w struct {
		Count, MajorCount, TimeMS, HeapLiveSlots, HeapFreeSlots, OldObjects, HeapPages, MallocIncrease, TotalAllocated, TotalFreed uint64
		RubyVersion                                                                                                                string
		YJIT                                                                                                                       bool
	}
	if err := json.Unmarshal(value, &w); err != nil {
		return GCStats{}, errors.Wrap(err, "rubyhost: GC.stat")
	}
	return GCStats{
		Count: w.Count, MajorCount: w.MajorCount, Time: time.Duration(w.TimeMS) * time.Millisecond,
		HeapLiveSlots: w.HeapLiveSlots, HeapFreeSlots: w.HeapFreeSlots, OldObjects: w.OldObjects, HeapPages: w.HeapPages,
		MallocIncrease: w.MallocIncrease, TotalAllocated: w.TotalAllocated, TotalFreed: w.TotalFreed,
		RubyVersion: w.RubyVersion, YJIT: w.YJIT,
	}, nil
}

// ErrUnhealthy is what [Host.Health] returns, wrapped with the reason.
var ErrUnhealthy = errors.New("rubyhost: the interpreter is not healthy")

// Health reports whether Ruby answers: nil, or [ErrUnhealthy] with the reason
// and a hint. It fails when no Ruby thread gets to run until ctx ends, for
// example because code in a C extension holds the GVL. It also fails when half
// the threads have been abandoned or cannot be started, and when the host is
// closed. A supervisor should then replace the process.
func (h *Host) Health(ctx context.Context) error {
	select {
	case <-h.closing:
		return errors.CombineErrors(ErrUnhealthy, ErrClosed)
	default:
	}
	s := h.Stats()
	if s.Abandoned > 0 && s.Abandoned >= h.opts.Threads/2 {
		return errors.WithHint(errors.Wrapf(ErrUnhealthy, "%d of %d threads were abandoned and still run", s.Abandoned, h.opts.Threads),
			"Handlers do not stop when interrupted. Restart the process.")
	}
	if s.Threads <= h.opts.Threads/2 && readCounters().shortOfThreads {
		return errors.WithHint(errors.Wrapf(ErrUnhealthy, "%d of %d threads run, and no further one can be started", s.Threads, h.opts.Threads),
			"Raise the limits on threads (ulimit -u, pids of the cgroup), or restart the process.")
	}
	number := h.lastSerial.Add(1)
	answered := make(chan struct{})
	h.pings.Store(number, answered)
	control(controlPing, number)
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		h.pings.Delete(number)
		return errors.WithHint(errors.Wrap(ErrUnhealthy, "Ruby did not answer in time"),
			"Code that holds Ruby's lock (often a C extension, or Regexp on a large input) does not give way. Restart the process.")
	}
}
