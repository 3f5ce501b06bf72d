package verdict_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// sampled runs 20,000 steps, each of which leaves some bytes behind, and takes 100 samples.
func sampled(name string, bytes int64) verdict.Series {
	r := rand.New(rand.NewPCG(uint64(bytes), 2))
	s := verdict.Series{Name: name}
	for step := int64(0); step < 20_000; step += 200 {
		s.Samples = append(s.Samples, verdict.Sample{Step: step, Bytes: 48<<20 + bytes*step + r.Int64N(4096)})
	}
	return s
}

func ExampleDecide() {
	v, err := verdict.Decide([]verdict.Series{sampled("bytes in use", 0)}, verdict.Options{})
	fmt.Println(v, err)
	v, err = verdict.Decide([]verdict.Series{sampled("bytes in use", 0), sampled("live slots", 64)}, verdict.Options{Budget: 2})
	fmt.Println(v, err)
	// Output:
	// flat: -0.0292 bytes a step (99 % interval -0.0892 to 0.0309), below the budget of 1 <nil>
	// leak
	//   bytes in use: flat: -0.0292 bytes a step (99.5 % interval -0.0948 to 0.0365), below the budget of 2
	//   live slots: leak: 64 bytes a step (99.5 % interval 64 to 64.1), above the budget of 2 <nil>
}

func ExampleGrowth_String() {
	fmt.Println(verdict.Flat, verdict.Undecided, verdict.Leak)
	// Output: flat undecided leak
}

func ExampleReason_String() {
	fmt.Println(verdict.Late)
	// Output: something changed late, and too little follows it
}

func ExampleVerdict_String() {
	// Too much noise for a budget as small as this one.
	v, err := verdict.Decide([]verdict.Series{sampled("bytes in use", 0)}, verdict.Options{Budget: 0.01})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v)
	fmt.Printf("or a budget of %.2f\n", v.Measures[0].Resolvable)
	// Output:
	// undecided: -0.0292 bytes a step (99 % interval -0.0892 to 0.0309), and the budget of 0.01 lies between; about 6600 more steps would decide
	// or a budget of 0.10
}

func ExampleCompare() {
	// Both versions leave 20 bytes a step to a library. The new one leaves 8 more.
	before, after := sampled("before", 20), sampled("after", 28)
	v, err := verdict.Compare(before, after, verdict.Options{})
	fmt.Println(v, err)
	// Output: leak: 8 bytes a step (99 % interval 7.89 to 8.11), above the budget of 1 <nil>
}

// Three classes ran, in proportions that vary from sample to sample.
func ExampleAttribute() {
	r := rand.New(rand.NewPCG(3, 4))
	s := verdict.Series{Name: "bytes in use"}
	fetch, grow, log := verdict.Class{Name: "Fetch"}, verdict.Class{Name: "Grow"}, verdict.Class{Name: "Log"}
	var fetches, grows int64
	for range 100 {
		fetches += r.Int64N(200)
		grows += r.Int64N(200)
		fetch.Calls = append(fetch.Calls, fetches)
		grow.Calls = append(grow.Calls, grows)
		log.Calls = append(log.Calls, fetches) // Log runs after each Fetch
		s.Samples = append(s.Samples, verdict.Sample{Step: 2*fetches + grows, Bytes: 64*grows + r.Int64N(4096)})
	}
	a, err := verdict.Attribute(s, []verdict.Class{fetch, grow, log}, verdict.Options{})
	fmt.Println(a, err)
	// Output:
	// Fetch and Log: -0.0853 bytes a call (99.5 % interval -1.13 to 0.958), 20522 calls; they always run in the same proportion, so they cannot be told apart
	// Grow: 64.2 bytes a call (99.5 % interval 62 to 66.4), 9663 calls <nil>
}

func ExampleAttribution_String() {
	s := sampled("bytes in use", 64)
	calls := make([]int64, len(s.Samples))
	for i := range calls {
		calls[i] = s.Samples[i].Step
	}
	a, err := verdict.Attribute(s, []verdict.Class{{Name: "Grow", Calls: calls}, {Name: "Never", Calls: make([]int64, len(calls))}}, verdict.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a)
	// Output:
	// Grow: 64 bytes a call (99 % interval 64 to 64.1), 19800 calls
	// Never: no calls after the warm-up
}

// Figures have the digits that count.
func ExampleFigure() {
	fmt.Println(verdict.Figure(0.02346), verdict.Figure(-3.14159), verdict.Figure(1234.7))
	// Output: 0.0235 -3.14 1235
}

func ExampleCount() {
	fmt.Println(verdict.Count(1), verdict.Count(40))
	// Output: 1 sample 40 samples
}
