package verdict

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
)

var update = flag.Bool("update", false, "write the rates anew")

const (
	calibrationRuns    = 400
	calibrationSamples = 120
	ratesFile          = "testdata/rates.txt"
)

// rates are counts of calibrationRuns.
type rates struct {
	covered   int // the interval holds the true slope
	alarms    int // a leak is seen in noise, with a budget far smaller than what it resolves
	flat      int // noise is flat, with the budget that nine of ten runs resolve
	alarmed   int // noise is a leak with this budget
	found     int // a leak of twice this budget is found
	forgiven  int // a leak of twice this budget is flat
	resolving float64
}

// measured runs one kind of noise. Its scale does not matter, the budget follows it.
func measured(t *testing.T, s simulation) rates {
	r := rand.New(rand.NewPCG(19, uint64(len(s.name))))
	scale := 1e6
	noises := make([][]float64, calibrationRuns)
	var resolvable []float64
	var v rates
	for i := range noises {
		noises[i] = s.noise(r, calibrationSamples)
		m := decided(t, series(noises[i], scale, 0), 1e-3).Measures[0]
		resolvable = append(resolvable, m.Resolvable)
		if m.Growth == Leak {
			v.alarms++
		}
		if m.Low <= 0 && m.High >= 0 {
			v.covered++
		}
	}
	slices.Sort(resolvable)
	budget := resolvable[len(resolvable)*9/10]
	v.resolving = budget * stepsBetween * calibrationSamples / scale
	for _, noise := range noises {
		switch decided(t, series(noise, scale, 0), budget).Growth {
		case Flat:
			v.flat++
		case Leak:
			v.alarmed++
		}
		switch decided(t, series(noise, scale, 2*budget), budget).Growth {
		case Flat:
			v.forgiven++
		case Leak:
			v.found++
		}
	}
	return v
}

func decided(t *testing.T, s Series, budget float64) Verdict {
	v, err := Decide([]Series{s}, Options{Budget: budget})
	require.NoError(t, err)
	return v
}

// atMost fails if the count is so high that a rate of the limit would give it less than
// once in a million calibrations.
func atMost(t *testing.T, what string, count int, limit float64) {
	b := distuv.Binomial{N: calibrationRuns, P: limit}
	if tail := 1 - b.CDF(float64(count-1)); count > 0 && tail < 1e-6 {
		t.Errorf("%s: %d of %d, which a rate of %g does not explain", what, count, calibrationRuns, limit)
	}
}

// TestRates measures the rates of error that doc.go states.
func TestRates(t *testing.T) {
	t.Parallel()
	all := make([]rates, len(simulations))
	var wait sync.WaitGroup
	for i, s := range simulations {
		if s.tried() {
			wait.Go(func() { all[i] = measured(t, s) })
		}
	}
	wait.Wait()
	table := ratesTable(all)
	t.Log("\n" + table)
	for i, s := range simulations {
		if !s.tried() {
			continue
		}
		v := all[i]
		allowed := 0.01
		if s.hard || s.curved {
			allowed = 0.05
		}
		if !s.curved {
			atMost(t, s.name+": not covered", calibrationRuns-v.covered, allowed)
		}
		atMost(t, s.name+": false alarms with a tiny budget", v.alarms, allowed)
		atMost(t, s.name+": false alarms", v.alarmed, 0.01)
		atMost(t, s.name+": leaks called flat", v.forgiven, 0.01)
		if !s.late && !s.curved {
			atMost(t, s.name+": leaks not found", calibrationRuns-v.found, 0.05)
		}
	}
	sameFigures(t, ratesFile, table)
}

func ratesTable(all []rates) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs of %d samples, in per cent. \"Resolves\" is the budget that 9 of 10 runs resolve, times the\nsteps, in units of the noise. The other columns use it, but for \"at ~0\": nearly none.\n\n", calibrationRuns, calibrationSamples)
	fmt.Fprintf(&b, "%-31s %8s | %8s %8s | %6s %8s | %6s %6s\n", "", "", "interval", "alarms", "flat", "alarms", "found", "flat")
	fmt.Fprintf(&b, "%-31s %8s | %8s %8s | %6s %8s | %6s %6s\n", "noise", "resolves", "holds", "at ~0", "no", "leak", "twice", "budget")
	per := func(n int) string { return fmt.Sprintf("%.1f", 100*float64(n)/calibrationRuns) }
	for i, s := range simulations {
		if !s.tried() {
			continue
		}
		v := all[i]
		holds := per(v.covered)
		if s.curved {
			holds = "-"
		}
		fmt.Fprintf(&b, "%-31s %8.2f | %8s %8s | %6s %8s | %6s %6s\n", s.name, v.resolving, holds, per(v.alarms), per(v.flat), per(v.alarmed), per(v.found), per(v.forgiven))
	}
	return b.String()
}
