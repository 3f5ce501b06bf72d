package rubyhost

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/errors"
)

// ErrClosed is returned by calls on a [Host] after [Host.Close].
var ErrClosed = errors.New("rubyhost: the host is closed")

// ErrAlreadyBooted is returned by a second [Boot]: CRuby can be booted once in
// the life of a process, also after [Host.Close].
var ErrAlreadyBooted = errors.WithHint(errors.New("rubyhost: Ruby was already booted in this process"),
	"Share one *Host, or start a second process.")

// booted is global because CRuby can be booted once a process.
var booted atomic.Bool

// Host is a running interpreter with its pool of Ruby worker threads. All
// methods may be called from any goroutine.
type Host struct {
	opts   Options
	log    *slog.Logger
	outbox *outbox

	calls      *callPool
	lastSerial atomic.Uint64

	gate     sync.RWMutex  // calls hold it for reading, Close for ever
	closing  chan struct{} // closed by Close: no new calls
	stopped  chan struct{} // closed when Ruby has been cleaned up
	drained  chan struct{} // closed when the drain goroutine has ended
	closeErr func() error

	pings    sync.Map // ping number -> chan struct{}
	stuck    sync.Map // serial -> chan []string, where that call's thread is
	services services
	terminal terminal
	children atomic.Pointer[childOutput] // nil unless opts.AllOutput
	notes    noteCount
	callableCache

	inFlight   atomic.Int64
	timeouts   atomic.Uint64
	late       atomic.Uint64
	spinMisses atomic.Uint32
}

// Boot starts CRuby on a thread of its own, with opts.Threads worker threads,
// and loads the Ruby half (require "tasker"). It takes some 60 ms.
//
// A process can boot Ruby once; a second Boot returns [ErrAlreadyBooted], also
// after Close and after a Boot that failed inside Ruby.
func Boot(opts Options) (*Host, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	library, err := installLibrary()
	if err != nil {
		return nil, err
	}
	if !booted.CompareAndSwap(false, true) {
		return nil, ErrAlreadyBooted
	}
	out, err := openOutbox()
	if err != nil {
		booted.Store(false)
		return nil, err
	}
	h := &Host{
		opts:    opts,
		log:     opts.Logger,
		outbox:  out,
		calls:   newCallPool(opts.QueueSize),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		drained: make(chan struct{}),
	}
	h.notes.more.L = &h.notes.mu
	h.services.asked = make(chan question)
	h.closeErr = sync.OnceValue(h.shutDown)
	go func() {
		defer close(h.drained)
		out.drain(h, opts.Spin, h.expecting)
	}()
	if err := bootInterpreter(opts, out.fd, library); err != nil {
		err = errors.CombineErrors(errors.WithHint(errors.Wrap(err, "rubyhost: Ruby did not boot"), bootHint(err)), out.close())
		<-h.drained
		return nil, err
	}
	settings := map[string]any{"pass_output": opts.PassOutput, "terminal": opts.Terminal, "program": opts.Program}
	if opts.AllOutput {
		err = h.catchAllOutput(settings)
	}
	var options []byte
	if err == nil {
		options, err = json.Marshal(settings)
	}
	if err == nil {
		_, err = h.call(context.Background(), opConfigure, options)
	}
	if err == nil {
		err = h.Serve(context.Background(), documentsService, answerDocument)
	}
	if err == nil && opts.Terminal {
		err = h.openTerminal(context.Background())
	}
	if err != nil {
		return nil, errors.CombineErrors(err, h.Close())
	}
	return h, nil
}

// Threads returns how many calls run at once: [Options].Threads.
func (h *Host) Threads() int { return h.opts.Threads }

// expecting reports whether Ruby will probably send a message very soon. It is
// false while Go answers a question, because the answer needs the processor.
func (h *Host) expecting() bool {
	return h.inFlight.Load() > 1 && h.services.answering.Load() == 0
}

// Close refuses new calls, waits for the calls under way, runs Ruby's at_exit
// blocks and ends the interpreter. The context of each call still applies to it.
// Close returns an error when Ruby has not ended after the grace; a thread that
// never returns is then abandoned. Further calls of Close return the same error.
func (h *Host) Close() error { return h.closeErr() }

func (h *Host) shutDown() error {
	close(h.closing)
	h.gate.Lock() // every call has returned, and no new one begins
	control(controlStop, 0)
	err := h.awaitEnd()
	ended := err == nil
	err = errors.CombineErrors(err, h.outbox.close())
	<-h.drained
	h.children.Load().close(ended)
	h.services.wait()
	return err
}

// awaitEnd waits until Ruby has ended. It counts the grace as interrupt does.
func (h *Host) awaitEnd() error {
	tick := time.NewTicker(interruptEvery)
	defer tick.Stop()
	for spent := time.Duration(0); spent < h.opts.Grace; spent += interruptEvery {
		select {
		case <-h.stopped:
			return nil
		case <-tick.C:
		}
	}
	select {
	case <-h.stopped:
		return nil
	default:
		return errors.WithHint(errors.Newf("rubyhost: Ruby did not end within %v", h.opts.Grace),
			"A handler's thread or an at_exit block is stuck; end the process.")
	}
}

// Load loads a Ruby file, as Ruby's load does. The path is absolute or
// relative to the working directory.
func (h *Host) Load(ctx context.Context, path string) error {
	_, err := h.call(ctx, opLoad, []byte(path))
	return err
}

// Require requires a feature by name ("json", "./config/boot"), as Ruby's
// require does.
func (h *Host) Require(ctx context.Context, feature string) error {
	_, err := h.call(ctx, opRequire, []byte(feature))
	return err
}

// LoadDir loads every .rb file below the folders. A file that names a constant
// of another file is loaded after that file. Folders whose files need each other
// go into one call.
func (h *Host) LoadDir(ctx context.Context, dirs ...string) error {
	segments := make([][]byte, len(dirs))
	for i, dir := range dirs {
		segments[i] = []byte(dir)
	}
	_, err := h.call(ctx, opLoadDir, segments...)
	return err
}

// Eval runs Ruby source at the top level and returns its value as JSON.
// Backtraces name the source as file.
func (h *Host) Eval(ctx context.Context, source, file string) (json.RawMessage, error) {
	return h.call(ctx, opEval, []byte(source), []byte(file))
}
