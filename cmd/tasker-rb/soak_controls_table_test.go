//go:build controls

package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// The sizes of a run of `make soak/controls`. With a database a step takes ten times longer,
// and a subscriber makes each step slower than the one before.
const (
	fullTasks     = 20_000
	databaseTasks = 4_000
	slowTasks     = 2_000
)

func (c control) fullTasks() int {
	switch {
	case c.db:
		return databaseTasks
	case c.slow:
		return slowTasks
	}
	return fullTasks
}

// controlCounts are what many runs of a control have found.
type controlCounts struct {
	control
	flags                                      []string
	runs, leak, flat, undecided, placed, lined int
	rss, kendall                               int       // runs in which the others' ways see growth
	took                                       []float64 // seconds
	resolvable                                 []float64
}

func (n *controlCounts) add(t *testing.T, r controlRun) {
	n.runs++
	switch r.result.Verdict.Growth {
	case "leak":
		n.leak++
	case "flat":
		n.flat++
	default:
		n.undecided++
	}
	t.Logf("%s: %s", n.name, r.result.Verdict.Text)
	if n.leaks {
		placed, lined := n.control.placed(r.result), n.control.lined(t, r.result)
		n.placed, n.lined = n.placed+count(placed), n.lined+count(lined)
		if !placed || !lined {
			t.Logf("%s %+v: %+v %+v", n.name, n.flags, r.result.Where, r.result.Suspects)
		}
	}
	for _, m := range r.result.Measures {
		if m.Key == soak.RSS {
			n.rss += count(rssGrows(m.Values))
			n.kendall += count(kendallGrows(m.Values))
		}
	}
	n.took = append(n.took, r.took.Seconds())
	n.resolvable = append(n.resolvable, r.result.Verdict.Resolvable)
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// rssGrows is what people do by hand: they let a tenth of the run warm up, and call it a
// leak if the resident memory is 10 % larger at the end.
func rssGrows(rss []int64) bool {
	return float64(rss[len(rss)-1]) > 1.1*float64(rss[len(rss)/10])
}

// kendallGrows is the test of Mann and Kendall, which studies of software aging use, at 1 %.
func kendallGrows(rss []int64) bool {
	n, s := float64(len(rss)), 0.0
	for i := range rss {
		for j := range i {
			if rss[i] > rss[j] {
				s++
			} else if rss[i] < rss[j] {
				s--
			}
		}
	}
	return (s-1)/math.Sqrt(n*(n-1)*(2*n+5)/18) > 2.326
}

// middle is the median of the runs that have ended.
func middle(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	return verdict.Figure(slices.Sorted(slices.Values(values))[len(values)/2])
}

// leakedBytes are the sizes of leaks that are tried, in bytes a step.
var leakedBytes = []int{1, 2, 4, 8, 16, 32, 64}

// TestSoakControlsTable runs each control as often as SOAK_CONTROLS says, and writes
// testdata/controls.txt. It takes half an hour with 20 runs: `make soak/controls`.
func TestSoakControlsTable(t *testing.T) {
	runs, err := strconv.Atoi(os.Getenv("SOAK_CONTROLS"))
	require.NoError(t, err, "SOAK_CONTROLS says how often to run each control")
	require.Positive(t, runs)
	var counts, sizes []*controlCounts
	for _, c := range controls {
		counts = append(counts, &controlCounts{control: c, flags: []string{"--iterations", strconv.Itoa(c.fullTasks())}})
	}
	for _, size := range leakedBytes {
		c := control{name: "sized", leaks: true, kind: "ruby_heap", class: "String"}
		every := fmt.Sprintf(`{"every": %d}`, 1024/size)
		sizes = append(sizes, &controlCounts{control: c, flags: []string{"--iterations", strconv.Itoa(fullTasks), "--context", every}})
	}
	var table string
	for round := range runs { // the table is written after each, so the rest may be left out
		t.Run(strconv.Itoa(round+1), func(t *testing.T) {
			for _, n := range slices.Concat(counts, sizes) {
				t.Run(n.name, func(t *testing.T) {
					t.Parallel()
					n.add(t, n.run(t, n.handlers(t), n.flags...))
				})
			}
		})
		table = controlsTable(round+1, counts, sizes)
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile("testdata/controls.txt", []byte(table), 0o644))
	}
	t.Log("\n" + table)
	requireGoals(t, runs, counts, sizes)
}

// requireGoals fails if the product is worse than it says it is.
func requireGoals(t *testing.T, runs int, counts, sizes []*controlCounts) {
	most := func(of, n int) int { return n - (n+of-1)/of } // n less one of so many
	for _, n := range counts {
		if !n.leaks {
			require.Zero(t, n.leak, "%s: false alarms", n.name)
			continue
		}
		require.GreaterOrEqual(t, n.leak, most(20, runs), "%s is found", n.name)
		require.GreaterOrEqual(t, n.placed, most(20, n.leak), "%s: its place", n.name)
		require.GreaterOrEqual(t, n.lined, most(20, n.leak), "%s: its line", n.name)
	}
	last := sizes[len(sizes)-1]
	require.GreaterOrEqual(t, last.leak, most(20, runs), "64 bytes a step")
}

func controlsTable(runs int, counts, sizes []*controlCounts) string {
	var b strings.Builder
	fmt.Fprintf(&b, "What tasker-rb soak says of templates whose answer is known (test/ruby/soak/controls),\n"+
		"with a budget of 1 byte a step and %d steps (%d with a database, %d of subscriber).\n"+
		"A suspected leak is confirmed with half as many more. Runs of each: %d.\n\n", fullTasks, databaseTasks, slowTasks, runs)
	row := func(name string, cells ...any) {
		fmt.Fprintf(&b, "%-24s", name)
		for _, c := range cells {
			fmt.Fprintf(&b, " | %11v", c)
		}
		b.WriteString("\n")
	}
	row("with a leak", "found", "right place", "right line", "called flat", "undecided", "seconds")
	for _, n := range counts {
		if n.leaks {
			line := any(n.lined)
			if n.kind == "native" || n.kind == "go_heap" || n.kind == "bridge" {
				line = "not in Ruby"
			}
			row(n.name, n.leak, n.placed, line, n.flat, n.undecided, middle(n.took))
		}
	}
	b.WriteString("\n")
	row("without a leak", "flat", "false alarm", "undecided", "resolvable", "seconds")
	for _, n := range counts {
		if !n.leaks {
			row(n.name, n.flat, n.leak, n.undecided, middle(n.resolvable), middle(n.took))
		}
	}
	b.WriteString("\nResolvable is the smallest budget that such a run can tell from no growth, in bytes a step.\n\n")
	row("leaks of a String", "found", "right line", "called flat", "undecided", "seconds")
	for i, n := range sizes {
		row(fmt.Sprintf("%d bytes a step", leakedBytes[i]), n.leak, n.lined, n.flat, n.undecided, middle(n.took))
	}
	b.WriteString("\nThe leak of 1 byte is the budget itself.\n\n" +
		"The same runs as people judge them: resident memory after a tenth of the run and at the\n" +
		"end, 10 % apart; and the test of Mann and Kendall on its samples, at 1 %.\n\n")
	row("says that it grows", "soak", "RSS + 10 %", "Mann-Kendall", "of runs")
	for _, leaks := range []bool{true, false} {
		for _, n := range counts {
			if n.leaks == leaks {
				row(n.name, n.leak, n.rss, n.kendall, n.runs)
			}
		}
		b.WriteString(map[bool]string{true: "\n", false: ""}[leaks])
	}
	return b.String()
}
