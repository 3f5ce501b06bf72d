package soak

import (
	"context"
	"encoding/json"
	"io"
	"sync"

	"github.com/cockroachdb/errors"
)

// Remote is a runner in another process, seen from the command. Only one order is under
// way at a time.
type Remote struct {
	Plan *Plan

	encoder *json.Encoder
	answers chan Answer
	closing chan struct{}
	ended   chan struct{} // no answer comes any more
	err     error         // why; read after ended
	end     func() (End, error)
	gone    Gone // read after close
	close   sync.Once
}

// End is how the process of a runner has ended.
type End struct {
	State string // such as "exit status 2" or "signal: killed"; "" if nobody knows
	Said  string // the last part of what it has written to its standard error
}

// Gone is the error when the process under measurement has ended by itself.
type Gone struct{ End }

func (g *Gone) Error() string {
	if g.State == "" {
		return "the process that runs the tasks has ended"
	}
	return "the process that runs the tasks has ended: " + g.State
}

// Connect gives a runner its spec, over pipes to and from it, and waits until it is ready.
// end ends its process, if it still runs, and closes the pipes. Connect calls it if there
// is an error.
func Connect(ctx context.Context, in io.Reader, out io.Writer, end func() (End, error), spec *Spec) (*Remote, error) {
	r := &Remote{encoder: json.NewEncoder(out), answers: make(chan Answer), closing: make(chan struct{}), ended: make(chan struct{}), end: end}
	go r.read(in)
	a, err := r.exchange(ctx, spec, nil)
	if err != nil {
		return nil, errors.CombineErrors(err, r.Close())
	}
	r.Plan = a.Plan
	return r, nil
}

// Close ends the runner's process. A second Close does nothing.
func (r *Remote) Close() (err error) {
	r.close.Do(func() {
		close(r.closing)
		r.gone.End, err = r.end()
		<-r.ended
	})
	return err
}

func (r *Remote) read(in io.Reader) {
	defer close(r.ended)
	decoder := json.NewDecoder(in)
	for {
		var a Answer
		if r.err = decoder.Decode(&a); r.err != nil {
			return
		}
		select {
		case r.answers <- a:
		case <-r.closing:
			return
		}
	}
}

// Do has the runner obey an order. progress is told how many tasks of a batch have ended;
// it may be nil. A [*Failure] is the runner's own, and [*Gone] says that its process has ended.
// After another error, or the end of ctx, the runner can only be closed.
func (r *Remote) Do(ctx context.Context, order Order, progress func(done int64)) (Answer, error) {
	return r.exchange(ctx, order, progress)
}

func (r *Remote) exchange(ctx context.Context, message any, progress func(done int64)) (Answer, error) {
	sent := make(chan error, 1)
	go func() { sent <- r.encoder.Encode(message) }() // a runner that hangs does not empty its pipe
	for {
		select {
		case err := <-sent:
			if err != nil {
				return Answer{}, r.lost(err)
			}
		case a := <-r.answers:
			switch {
			case a.Failure != nil:
				return a, a.Failure
			case a.Over:
				return a, nil
			case progress != nil:
				progress(a.Done)
			}
		case <-r.ended:
			return Answer{}, r.lost(r.err)
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	}
}

// lost says how the process has ended. The answer to that is complete when it is closed.
func (r *Remote) lost(cause error) error {
	return errors.WithSecondaryError(&r.gone, errors.CombineErrors(cause, r.Close()))
}
