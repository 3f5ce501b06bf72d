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
	end     func() error
	close   sync.Once
}

// Connect gives a runner its spec, over pipes to and from it, and waits until it is ready.
// end ends its process and closes the pipes; Connect calls it if there is an error.
func Connect(ctx context.Context, in io.Reader, out io.Writer, end func() error, spec *Spec) (*Remote, error) {
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
		err = r.end()
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

// ErrRunnerGone says that the process under measurement has ended.
var ErrRunnerGone = errors.New("the process that runs the tasks has ended")

// Do has the runner obey an order. progress is told how many tasks of a batch have ended;
// it may be nil. A [*Failure] is the runner's own. After another error, or the end of ctx,
// the runner can only be closed.
func (r *Remote) Do(ctx context.Context, order Order, progress func(done int64)) (Answer, error) {
	return r.exchange(ctx, order, progress)
}

func (r *Remote) exchange(ctx context.Context, message any, progress func(done int64)) (Answer, error) {
	if err := r.encoder.Encode(message); err != nil {
		return Answer{}, errors.CombineErrors(ErrRunnerGone, err)
	}
	for {
		select {
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
			return Answer{}, errors.CombineErrors(ErrRunnerGone, r.err)
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	}
}
