package soak_test

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// simulated is a runner without Ruby: its memory is a function of what it has run.
type simulated struct {
	classes []string // of the steps of its one template
	// uses returns the bytes in use, by measure, beside a level.
	uses     func(calls map[string]int64, tasks int64) map[string]int64
	pace     time.Duration // of a task, as it says
	slow     bool          // it takes that time
	failure  *soak.Failure // after the first batch
	dies     bool          // in the second batch
	late     *soak.Failure // in the search for suspects
	deaf     bool          // it reads nothing
	idle     int64         // so many tasks at first call no handler
	suspects []soak.Suspect

	orders atomic.Int64
	random *rand.Rand
	calls  map[string]int64
	tasks  int64
}

// start serves the protocol in this process.
func (s *simulated) start(ctx context.Context, trace bool) (*soak.Remote, error) {
	ordersIn, ordersOut := io.Pipe()
	answersIn, answersOut := io.Pipe()
	s.random, s.calls, s.tasks = rand.New(rand.NewPCG(1, 2)), map[string]int64{}, 0
	go func() {
		defer func() { _ = answersOut.Close() }()
		orders, answers := json.NewDecoder(ordersIn), json.NewEncoder(answersOut)
		var spec soak.Spec
		if s.deaf {
			<-ctx.Done()
			return
		}
		if orders.Decode(&spec) != nil {
			return
		}
		if answers.Encode(soak.Answer{Over: true, Plan: &soak.Plan{Templates: []soak.PlannedTemplate{{ID: "shop/order 1.0.0", Classes: s.classes}}}}) != nil {
			return
		}
		for {
			var order soak.Order
			if orders.Decode(&order) != nil {
				return
			}
			n := s.orders.Add(1)
			if s.dies && n > 1 {
				return
			}
			if answers.Encode(s.obey(order, n)) != nil {
				return
			}
		}
	}()
	end := func() (soak.End, error) {
		_ = ordersOut.Close()
		return soak.End{State: "exit status 7", Said: "out of memory"}, answersIn.Close()
	}
	return soak.Connect(ctx, answersIn, ordersOut, end, &soak.Spec{Trace: trace})
}

func (s *simulated) obey(order soak.Order, n int64) soak.Answer {
	a := soak.Answer{Over: true}
	switch order.Op {
	case soak.OpBatch:
		for _, p := range order.Portions {
			if s.slow {
				time.Sleep(time.Duration(p.Tasks) * s.pace)
			}
			steps := p.Steps
			if steps == 0 {
				steps = len(s.classes)
			}
			if s.tasks += p.Tasks; s.tasks <= s.idle {
				steps = 0
			}
			for _, class := range s.classes[:steps] {
				s.calls[class] += p.Tasks
			}
			a.Sample = s.sample(p.Tasks)
		}
		if s.failure != nil && n > 1 {
			a.Failure = s.failure
		}
	case soak.OpSuspects:
		a.Failure = s.late
		a.Suspects = s.suspects
	case soak.OpStores:
		a.Stores = map[string]soak.Line{"0": {File: "charge.rb", Line: 7}}
	}
	return a
}

func (s *simulated) sample(ran int64) *soak.Sample {
	sample := &soak.Sample{Tasks: s.tasks, Values: map[string]int64{}, Calls: map[string]int64{}, Ran: time.Duration(ran) * s.pace}
	for class, n := range s.calls {
		sample.Calls[class], sample.Steps = n, sample.Steps+n
	}
	for _, key := range []string{soak.MallocInUse, soak.RubySlots, soak.GoHeap, soak.RSS, soak.ObjectMemory, soak.BridgeBytes, soak.Threads, soak.SlotsOfType + "T_STRING"} {
		sample.Values[key] = 10_000_000 + s.random.Int64N(4000)
	}
	if s.uses != nil {
		for key, bytes := range s.uses(s.calls, s.tasks) {
			sample.Values[key] += bytes
		}
	}
	return sample
}

// options are those of a run of the simulated runner.
func (s *simulated) options(iterations int64) soak.Options {
	return soak.Options{
		Iterations: iterations,
		Start:      func(ctx context.Context, trace, _ bool) (*soak.Remote, error) { return s.start(ctx, trace) },
	}
}
