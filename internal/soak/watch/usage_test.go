package watch_test

import (
	"fmt"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/soak/watch"
)

// watched is a watch of 60 minutes. Each call of Shop::Charge leaves 64 bytes behind, and
// one of Shop::Ship nothing.
func watched() *watch.Watch {
	w := watch.New(watch.Options{})
	at, leaked := time.Date(2026, 2, 3, 9, 30, 0, 0, time.UTC), int64(0)
	for minute := range int64(61) {
		for range 100 + minute*minute%61 {
			w.Called("Shop::Charge")
			leaked += 64
		}
		for range 100 + minute*minute*minute%61 {
			w.Called("Shop::Ship")
		}
		for second := range int64(60) {
			at = at.Add(time.Second)
			garbage := second % 20 * 1_000_000 // collected every 20 seconds
			w.Read(watch.Reading{At: at, Native: 50_000_000 + leaked + garbage, Objects: watch.Unknown, GoHeap: 8_000_000, RSS: 140_000_000, Collections: watch.Unknown})
		}
	}
	return w
}

func ExampleNew() {
	r := watched().Report()
	fmt.Println(r.Samples, "samples,", r.Steps, "steps")
	for _, g := range r.Measures {
		fmt.Printf("%s: %s\n", g.Name, g.Words(r.Rate))
	}
	for _, c := range r.Classes {
		fmt.Println(c)
	}
	// Output:
	// 60 samples, 15860 steps
	// native memory: leak: 32.5 bytes a step (99.8 % interval 31.8 to 33.2), above the budget of 16
	// old Ruby objects: cannot be read
	// Go heap: flat: 0 bytes a step (99.8 % interval -0.00077 to 0.00077), below the budget of 16
	// resident memory: flat: 0 bytes a step (99.8 % interval -0.394 to 0.394), below the budget of 16
	// Shop::Charge: 64 bytes a call of native memory (63.92 to 64.08)
	// Shop::Ship: 0 bytes a call of native memory (-0.0806 to 0.0806)
}

func ExampleWatch_Called() {
	w := watch.New(watch.Options{})
	w.Called("Shop::Charge")
	fmt.Println(w.Report().Steps)
	// Output: 1
}

// A sample is the smallest reading of a window in which a step ended.
func ExampleWatch_Read() {
	w := watch.New(watch.Options{Window: 2 * time.Second})
	at := time.Date(2026, 2, 3, 9, 30, 0, 0, time.UTC)
	for range 4 {
		at = at.Add(time.Second)
		w.Called("Shop::Charge")
		fmt.Println(w.Read(watch.Reading{At: at, Native: watch.Unknown, Objects: watch.Unknown, GoHeap: 8 << 20, RSS: 90 << 20, Collections: watch.Unknown}))
	}
	// Output:
	// false
	// false
	// true
	// false
}

func ExampleWatch_Report() {
	w := watch.New(watch.Options{})
	w.Called("Shop::Charge")
	fmt.Println(w.Report().Waits())
	// Output: not enough samples yet: 0 of 40, in 40 minutes or more
}

// Growing knows what the latest report has found.
func ExampleWatch_Growing() {
	w := watched()
	_ = w.Report()
	c, grows := w.Growing()
	fmt.Println(c, grows)
	// Output: Shop::Charge: 64 bytes a call of native memory (63.92 to 64.08) true
}

func ExampleReport_Within() {
	r := watched().Report()
	short := r.Within(1100)
	fmt.Println(len(r.Classes), "classes,", len(short.Classes), "in 1100 bytes,", short.Cut, "left out")
	// Output: 2 classes, 1 in 1100 bytes, 1 left out
}

func ExampleReport_Waits() {
	fmt.Println(watch.Report{Samples: 12, Needed: 40, Steps: 3000, ReadyIn: 1680}.Waits())
	// Output: not enough samples yet: 12 of 40, in about 28 minutes at the present rate
}

func ExampleGrowth_Words() {
	g := watch.Growth{Growth: "undecided", Text: "undecided: 3 bytes a step, …; about 6600 more steps would decide", More: 6600}
	fmt.Println(g.Words(2))
	// Output: undecided: 3 bytes a step, …; about 6600 more steps would decide, in about 55 minutes
}

func ExampleClass_String() {
	fmt.Println(watch.Class{Names: []string{"Shop::Charge"}, Of: "native memory", Bytes: 64, Low: 61.5, High: 66.5})
	// Output: Shop::Charge: 64 bytes a call of native memory (61.5 to 66.5)
}
