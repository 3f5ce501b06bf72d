package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/procstat"
	soakwatch "github.com/tasker-rb/tasker-rb/internal/soak/watch"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// memoryWindow is the time of one sample of a worker's memory, and of one report. Only a
// test links the program with another one.
var memoryWindow = "1m"

// workerMemory watches the memory of a worker. It reports it to the database, and stops the
// worker above a limit.
type workerMemory struct {
	host   *rubyhost.Host
	log    *slog.Logger
	limit  uint64 // of RSS, in bytes; 0 if there is none
	window time.Duration
	watch  *soakwatch.Watch

	ruby    atomic.Pointer[rubyhost.GCStats] // the latest answer that no reading has taken yet
	asking  atomic.Bool                      // Ruby is being asked
	calls   atomic.Int64                     // that have ended
	exceeds atomic.Bool                      // the worker has been above its limit
}

// newWorkerMemory fails if the process is above the limit already: it would never work.
func newWorkerMemory(host *rubyhost.Host, limit byteSize, log *slog.Logger) (*workerMemory, error) {
	window, err := time.ParseDuration(memoryWindow)
	if err != nil {
		return nil, errors.Wrap(err, "the time of a sample that was linked in")
	}
	m := &workerMemory{host: host, log: log, limit: uint64(limit), window: window, watch: soakwatch.New(soakwatch.Options{Window: window})}
	if limit == 0 {
		return m, nil
	}
	rss, err := procstat.RSS()
	switch {
	case err != nil:
		return nil, errors.WithHint(errors.Wrap(err, "--max-rss"), "The limit cannot be watched here. Leave --max-rss out.")
	case rss >= m.limit:
		return nil, errors.WithHintf(errors.Newf("--max-rss %s is too small: the worker uses %s already, before its first step",
			limit.String(), sizeText(float64(rss))), "Give more, with room for the steps: such as %s.", sizeText(2*float64(rss)))
	}
	return m, nil
}

// count counts the calls of handlers, by their classes.
func (m *workerMemory) count(e orchestration.Event) {
	switch e.Kind {
	case orchestration.EventStepCompleted, orchestration.EventStepRetrying, orchestration.EventStepFailed:
	case orchestration.EventStepReleased, orchestration.EventStepCancelled:
		if e.Duration == 0 { // it had not begun
			return
		}
	default:
		return
	}
	m.watch.Called(e.Class)
	m.calls.Add(1)
}

// start watches until the function that it returns is called. above is called once, when the
// process is above its limit.
func (m *workerMemory) start(engine *orchestration.Engine, above func()) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(max(m.window/60, 10*time.Millisecond))
		defer ticker.Stop()
		var reported time.Time
		asked := int64(-1)
		for {
			now := time.Now()
			if n := m.calls.Load(); n != asked && m.asking.CompareAndSwap(false, true) { // an idle worker lets Ruby sleep
				asked = n
				running.Go(func() { m.askRuby(ctx) })
			}
			m.watch.Read(m.reading(now, above))
			if now.Sub(reported) >= m.window {
				reported = now
				m.report(engine)
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// slotSize is the size of a slot that CRuby has used since long ago. Since 3.2 some are
// larger, so the sum is a lower bound.
const slotSize = 40

// askRuby reads how many objects are old, and how often Ruby has collected. It waits for a
// thread, as any call does, and meanwhile the other values are read. It has no time limit: a
// call that is late is interrupted, and that may cost its thread.
func (m *workerMemory) askRuby(ctx context.Context) {
	defer m.asking.Store(false)
	if gc, err := m.host.GCStats(ctx); err == nil {
		m.ruby.Store(&gc)
	}
}

// goHeap is what Go's last collection has found alive.
const goHeap = "/gc/heap/live:bytes"

// reading reads the process. It takes some microseconds, and no lock of Ruby's.
func (m *workerMemory) reading(now time.Time, above func()) soakwatch.Reading {
	r := soakwatch.Reading{At: now, Native: soakwatch.Unknown, Objects: soakwatch.Unknown, GoHeap: soakwatch.Unknown,
		RSS: soakwatch.Unknown, Collections: soakwatch.Unknown}
	if gc := m.ruby.Swap(nil); gc != nil {
		r.Objects, r.Collections = int64(gc.OldObjects)*slotSize, int64(gc.Count)
	}
	if inUse, _, ok := m.host.Malloc(); ok {
		r.Native = int64(inUse)
	}
	heap := []metrics.Sample{{Name: goHeap}}
	if metrics.Read(heap); heap[0].Value.Kind() == metrics.KindUint64 {
		r.GoHeap = int64(heap[0].Value.Uint64())
	}
	if rss, err := procstat.RSS(); err == nil {
		r.RSS = int64(rss)
		if m.limit > 0 && rss > m.limit && m.exceeds.CompareAndSwap(false, true) {
			m.warn(rss)
			above()
		}
	}
	return r
}

func (m *workerMemory) warn(rss uint64) {
	attrs := []any{"rss", sizeText(float64(rss)), "limit", sizeText(float64(m.limit))}
	if c, grows := m.watch.Growing(); grows {
		attrs = append(attrs, "grows", strings.Join(c.Names, ", "), "bytes_a_call", c.Bytes, "of", c.Of)
	}
	m.log.Warn("the worker uses more memory than --max-rss; it takes no more tasks, and ends", attrs...)
}

// mostOfReport leaves room for what is around it.
const mostOfReport = orchestration.MaxReport - 100

// report publishes what is known.
func (m *workerMemory) report(engine *orchestration.Engine) {
	r := m.watch.Report()
	r.Limit = int64(m.limit)
	r = r.Within(mostOfReport)
	document, err := json.Marshal(workerReport{Memory: &r})
	if err == nil {
		err = engine.Report(document)
	}
	if err != nil {
		m.log.Warn("the worker's memory could not be reported", "error", err)
	}
}
