package report_test

import (
	"bytes"
	"fmt"
	"image/png"
	"os"
	"strings"
	"time"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/report"
)

// found is a result as a run gives it, with few parts.
func found() *soak.Result {
	at := &soak.Line{File: "handlers/charge.rb", Line: 12, Code: "SEEN << payload.dup"}
	return &soak.Result{
		Verdict: soak.Verdict{Growth: "leak", Text: "leak: native memory grows by 66 bytes a step (64 to 68), above the budget of 1", Budget: 1, Confidence: 0.99},
		Suspects: []soak.Suspect{{
			Kind: "objects", Class: "String", Allocated: at, Count: 1000, Bytes: 64, Own: true,
			Path: []soak.Holder{{Kind: "constant", Name: "Orders::SEEN", At: &soak.Line{File: "handlers/charge.rb", Line: 3}}, {Kind: "element", Name: "[1234]"}},
		}},
		Measures: []soak.Measure{{
			Key: soak.MallocInUse, Name: "native memory in use", Unit: "bytes", Decides: true,
			Steps: []int64{0, 20_000, 40_000}, Values: []int64{41_000_000, 42_320_000, 43_640_000},
			Trend: &soak.Trend{Growth: "leak", Slope: 66, Low: 64, High: 68, LastStep: 40_000},
		}},
		Run: soak.Run{Tasks: 20_000, Steps: 40_000, Threads: 8, Took: 24 * time.Second, Sampling: 3100 * time.Millisecond},
	}
}

func ExampleText() {
	if err := report.Text(os.Stdout, found(), report.TextOptions{Width: 80}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// leak: native memory grows by 66 bytes a step (64 to 68), above the budget of 1
	// in 20,000 tasks, 40,000 steps, 8 threads, 24 s (sampling 3.1 s)
	//
	//   suspect     String, 1 a task, 64 bytes a task
	//               allocated  handlers/charge.rb:12   SEEN << payload.dup
	//               held by    Orders::SEEN (handlers/charge.rb:3) → [1234]
	//
	//                         at start   at end  a step  interval  verdict
	//   native memory in use     41 MB  43.6 MB    66 B  64 to 68  leak
}

func ExampleWrite() {
	var page strings.Builder
	if err := report.Write(&page, found()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Contains(page.String(), "<code>SEEN &lt;&lt; payload.dup</code>"))
	// Output: true
}

func ExampleWriteSVG() {
	var picture strings.Builder
	if err := report.WriteSVG(&picture, found()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Contains(picture.String(), ">native memory in use</text>"))
	// Output: true
}

func ExampleWritePNG() {
	var picture bytes.Buffer
	if err := report.WritePNG(&picture, found()); err != nil {
		fmt.Println(err)
	}
	decoded, err := png.Decode(&picture)
	fmt.Println(decoded.Bounds().Dx(), err)
	// Output: 1920 <nil>
}
