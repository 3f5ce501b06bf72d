package rubysteps

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Events tells subscribers in Ruby what happens to tasks: those of Tasker::Events. Its
// OnEvent belongs into [orchestration.Config]. The zero value tells nobody until [Events.Serve].
//
// Ruby says to which kinds of events somebody subscribes; the others cost a comparison. An
// event is told at most once, after its commit, and no task waits for it.
type Events struct {
	wanted atomic.Uint64 // a bit for each kind, as in eventKinds
	used   atomic.Bool   // something was told, or Ruby has events of its own

	log         *slog.Logger
	take, flush *rubyhost.Method

	mu      sync.Mutex
	queue   []json.RawMessage
	bytes   int // of the queue
	sending bool
	sent    chan struct{} // closed when what is being sent has been sent
	dropped int
}

// lastEvents numbers those that share a host.
var lastEvents atomic.Int64

// How many events may wait here for Ruby, and how large they may be: each may have a task's
// context. As many may wait there.
const (
	mostEvents     = 10_000
	mostEventBytes = 32 << 20
)

// eventPatience is how long a program that ends waits for subscribers.
const eventPatience = 5 * time.Second

// eventKinds are the kinds that have a name in Ruby. rubyhost/ruby/lib/tasker/events/names.rb
// says which.
var eventKinds = map[orchestration.EventKind]uint64{
	orchestration.EventTaskStarted: 1, orchestration.EventStepStarted: 2, orchestration.EventStepCompleted: 4,
	orchestration.EventStepRetrying: 8, orchestration.EventStepFailed: 16, orchestration.EventStepCancelled: 32,
	orchestration.EventTaskWaiting: 64, orchestration.EventTaskEnded: 128,
}

// Serve connects the events to a host, whose handlers are loaded. Ruby warns then of
// subscriptions to what never comes.
func (e *Events) Serve(ctx context.Context, host *rubyhost.Host, log *slog.Logger) error {
	e.log = log
	if err := host.Require(ctx, "tasker/host/engine_events"); err != nil {
		return err
	}
	var err error
	if e.take, err = host.Method(ctx, "Tasker::Host::EngineEvents.take"); err != nil {
		return err
	}
	if e.flush, err = host.Method(ctx, "Tasker::Host::EngineEvents.flush"); err != nil {
		return err
	}
	start, err := host.Method(ctx, "Tasker::Host::EngineEvents.start")
	if err != nil {
		return err
	}
	service := fmt.Sprintf("tasker-rb's events %d", lastEvents.Add(1))
	err = host.Serve(ctx, service, func(_ context.Context, kinds []byte) ([]byte, error) { return nil, e.want(kinds) })
	if err != nil {
		return err
	}
	_, err = start.Call(ctx, service)
	return err
}

// want notes which kinds somebody listens to.
func (e *Events) want(document []byte) error {
	var kinds []orchestration.EventKind
	if err := json.Unmarshal(document, &kinds); err != nil {
		return errors.Wrap(err, "the kinds of events")
	}
	var wanted uint64
	for _, kind := range kinds {
		wanted |= eventKinds[kind]
		if kind == "ruby" {
			e.used.Store(true)
		}
	}
	e.wanted.Store(wanted)
	return nil
}

// OnEvent is for [orchestration.Config].
func (e *Events) OnEvent(event orchestration.Event) {
	if wanted := e.wanted.Load(); wanted == 0 || wanted&eventKinds[event.Kind] == 0 {
		return
	}
	document, err := json.Marshal(factsOf(&event))
	if err != nil {
		e.log.Error("an event could not be given to its subscribers", "task", event.TaskID, "event", event.Kind, "error", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.queue); n >= mostEvents || n > 0 && e.bytes+len(document) > mostEventBytes {
		if e.dropped++; e.dropped == 1 {
			e.log.Warn("events of tasks are dropped, because too many wait for a thread of Ruby")
		}
		return
	}
	e.dropped = 0
	e.used.Store(true)
	e.queue = append(e.queue, document)
	e.bytes += len(document)
	if !e.sending {
		e.sending, e.sent = true, make(chan struct{})
		go e.send(e.sent)
	}
}

// send gives Ruby what waits, until nothing does.
func (e *Events) send(sent chan struct{}) {
	defer close(sent)
	for {
		e.mu.Lock()
		batch := e.queue
		e.queue, e.bytes = nil, 0
		e.sending = len(batch) > 0
		e.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		sizes := make([]int, len(batch))
		for i, document := range batch {
			sizes[i] = len(document)
		}
		if _, err := e.take.Call(context.Background(), batch, sizes); err != nil {
			if !errors.Is(err, rubyhost.ErrClosed) {
				e.log.Error("events of tasks could not be given to their subscribers", "events", len(batch), "error", err)
			}
		}
	}
}

// Flush waits until the subscribers have been told of the events so far, but not longer than
// a few seconds. Call it before the host is closed, and before what subscribers use is.
func (e *Events) Flush(ctx context.Context) {
	if !e.used.Load() {
		return
	}
	until := time.Now().Add(eventPatience)
	if ends, has := ctx.Deadline(); has && ends.Before(until) {
		until = ends
	}
	e.mu.Lock()
	sent := e.sent
	e.mu.Unlock()
	if sent != nil {
		select {
		case <-sent:
		case <-time.After(time.Until(until)):
		case <-ctx.Done():
		}
	}
	// Ruby keeps the time, and says what is left. On a busy machine the answer is late.
	answered, cancel := context.WithDeadline(context.WithoutCancel(ctx), until.Add(eventPatience))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cancel()
		}
	})()
	left, err := rubyhost.Call[int](answered, e.flush, max(time.Until(until).Seconds(), 0))
	switch {
	case err != nil:
		e.log.Warn("it is not known whether the subscribers have been told of all events", "error", err)
	case left > 0:
		e.log.Warn("the subscribers to events of tasks take too long; this process does not wait for them", "events", left)
	}
}
