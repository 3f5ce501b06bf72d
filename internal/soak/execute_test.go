package soak_test

import (
	"context"
	"math/bits"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

type uses = func(calls map[string]int64, tasks int64) map[string]int64

func grows(key string, bytes int64) uses {
	return func(calls map[string]int64, _ int64) map[string]int64 {
		return map[string]int64{key: bytes * calls["Charge"]}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	both := func(list ...uses) uses {
		return func(calls map[string]int64, tasks int64) map[string]int64 {
			all := map[string]int64{}
			for _, f := range list {
				for key, bytes := range f(calls, tasks) {
					all[key] += bytes
				}
			}
			return all
		}
	}
	for _, c := range []struct {
		name, growth, where string
		uses                uses
		budget              float64
	}{
		{"nothing grows", "flat", "", nil, 0},
		{"slots", "leak", "ruby_heap", grows(soak.RubySlots, 40), 0},
		{"what objects own", "leak", "ruby_heap", both(grows(soak.MallocInUse, 64), grows(soak.ObjectMemory, 60)), 0},
		{"native", "leak", "native", grows(soak.MallocInUse, 64), 0},
		{"the bridge", "leak", "bridge", both(grows(soak.MallocInUse, 64), grows(soak.BridgeBytes, 64)), 0},
		{"Go", "leak", "go_heap", grows(soak.GoHeap, 64), 0},
		{"only RSS", "flat", "fragmentation", grows(soak.RSS, 100), 0},
		{"only RSS, within the budget", "flat", "", grows(soak.RSS, 100), 500},
		{"a cache that fills early", "flat", "", func(_ map[string]int64, tasks int64) map[string]int64 {
			return map[string]int64{soak.RubySlots: 400 * min(tasks, 1000)}
		}, 0},
		{"a cache that fills late", "undecided", "", func(_ map[string]int64, tasks int64) map[string]int64 {
			return map[string]int64{soak.RubySlots: 400 * min(tasks, 11000)}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &simulated{classes: []string{"Charge"}, uses: c.uses}
			o := s.options(12_000)
			o.Budget = c.budget
			r, err := soak.Execute(t.Context(), o)
			require.NoError(t, err)
			require.Equal(t, c.growth, r.Verdict.Growth, r.Verdict.Text)
			if c.where == "" && c.growth == "flat" {
				require.Empty(t, r.Where)
			} else if c.where != "" {
				require.NotEmpty(t, r.Where)
				require.Equal(t, c.where, r.Where[0].Kind)
			}
			require.GreaterOrEqual(t, r.Run.Tasks, int64(12_000))
		})
	}
}

// What is not certain is nobody's defect yet, and threads explain native memory.
func TestHints(t *testing.T) {
	t.Parallel()
	hint := func(uses uses, iterations int64) soak.Place {
		s := &simulated{classes: []string{"Charge"}, uses: uses}
		r, err := soak.Execute(t.Context(), s.options(iterations))
		require.NoError(t, err)
		require.NotEmpty(t, r.Where)
		return r.Where[0]
	}
	require.Contains(t, hint(grows(soak.GoHeap, 64), 12_000).Hint, "please report it")
	late := hint(func(_ map[string]int64, tasks int64) map[string]int64 {
		return map[string]int64{soak.GoHeap: 400 * min(tasks, 11_000)}
	}, 12_000)
	require.Equal(t, "undecided", late.Growth)
	require.Empty(t, late.Hint)
	threads := hint(func(calls map[string]int64, _ int64) map[string]int64 {
		return map[string]int64{soak.MallocInUse: 18_500 * calls["Charge"], soak.Threads: 1000 * calls["Charge"]}
	}, 12_000)
	require.Contains(t, threads.Hint, "Threads grow")
	require.Contains(t, threads.Text, "18,500 bytes a step")
}

// A leak is only called one after the run has gone on.
func TestALeakIsConfirmed(t *testing.T) {
	t.Parallel()
	s := &simulated{classes: []string{"Charge"}, uses: grows(soak.RubySlots, 40)}
	r, err := soak.Execute(t.Context(), s.options(12_000))
	require.NoError(t, err)
	require.GreaterOrEqual(t, r.Run.Tasks, int64(18_000))
}

// So is one that only a later look finds.
func TestALeakThatIsFoundLateIsConfirmed(t *testing.T) {
	t.Parallel()
	s := &simulated{classes: []string{"Charge"}, uses: func(_ map[string]int64, tasks int64) map[string]int64 {
		return map[string]int64{soak.RubySlots: 400 * max(tasks-4800, 0)}
	}}
	o := s.options(5000)
	o.UntilDecided = true
	var phases []string
	o.Progress = func(p soak.Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
	}
	r, err := soak.Execute(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "leak", r.Verdict.Growth, r.Verdict.Text)
	require.Equal(t, []string{"running", "undecided, going on", "confirming"}, phases[:3])
}

// The number of tasks goes on when samples are dropped, and when no handler was called.
func TestAllTasksAreCounted(t *testing.T) {
	t.Parallel()
	s := &simulated{classes: []string{"Charge"}, idle: 100}
	o := s.options(1000)
	o.Samples = 400 // two tasks a sample, so that there are more samples than are kept
	most := int64(0)
	o.Progress = func(p soak.Progress) {
		require.GreaterOrEqual(t, p.Tasks, most)
		most = p.Tasks
	}
	r, err := soak.Execute(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, s.tasks, r.Run.Tasks)
	require.Less(t, r.Run.Tasks, int64(1010))
	require.Less(t, r.Run.Steps, r.Run.Tasks)

	s = &simulated{classes: []string{"Charge"}, idle: 1000}
	_, err = soak.Execute(t.Context(), s.options(1000))
	var f *soak.Failure
	require.ErrorAs(t, err, &f)
	require.Contains(t, f.Message, "too few for any verdict")
}

// A type of object that only appears later counts, too.
func TestATypeThatAppearsLaterIsNamed(t *testing.T) {
	t.Parallel()
	s := &simulated{classes: []string{"Charge"}, uses: func(calls map[string]int64, tasks int64) map[string]int64 {
		if tasks < 2000 {
			return nil
		}
		return map[string]int64{soak.SlotsOfType + "T_MATCH": calls["Charge"], soak.RubySlots: 40 * calls["Charge"]}
	}}
	r, err := soak.Execute(t.Context(), s.options(12_000))
	require.NoError(t, err)
	require.Equal(t, "leak", r.Verdict.Growth, r.Verdict.Text)
	require.Contains(t, r.Where[0].Text, "; mostly MATCH")
}

// The verdict stands when the search for the line fails.
func TestASearchThatFails(t *testing.T) {
	t.Parallel()
	s := &simulated{classes: []string{"Charge"}, uses: grows(soak.RubySlots, 40), late: &soak.Failure{Message: "no objspace", Hint: "Install it.", Detail: []string{"LoadError"}}}
	r, err := soak.Execute(t.Context(), s.options(12_000))
	require.NoError(t, err)
	require.Equal(t, "leak", r.Verdict.Growth)
	require.Contains(t, r.Notes, soak.Note{Text: "looking for the class and the line has failed: no objspace: LoadError", Hint: "Install it."})

	ctx, stop := context.WithCancel(t.Context())
	o := s.options(12_000)
	o.Progress = func(p soak.Progress) {
		if p.Phase == "telling the classes apart" {
			stop()
		}
	}
	s.late, s.classes = nil, []string{"Charge", "Ship"}
	r, err = soak.Execute(ctx, o)
	require.NoError(t, err)
	require.Equal(t, "leak", r.Verdict.Growth)
	require.Contains(t, r.Notes, soak.Note{Text: "the run was stopped before the class and the line were found"})
}

func TestTheClassThatGrowsIsNamed(t *testing.T) {
	t.Parallel()
	s := &simulated{
		classes: []string{"Validate", "Charge", "Ship"}, uses: grows(soak.RubySlots, 40),
		suspects: []soak.Suspect{{Kind: "objects", Class: "String", Allocated: &soak.Line{File: "charge.rb", Line: 5}}},
	}
	r, err := soak.Execute(t.Context(), s.options(12_000))
	require.NoError(t, err)
	require.Len(t, r.Classes, 3)
	require.Equal(t, []string{"Charge"}, r.Classes[0].Classes)
	require.True(t, r.Classes[0].Grows)
	require.InDelta(t, 40, r.Classes[0].Bytes, 5)
	require.False(t, r.Classes[1].Grows || r.Classes[2].Grows, r.Classes)
	require.Equal(t, 7, r.Suspects[0].Stored.Line)
}

// The table of a Set grows by doubling. No verdict knows it from a cache that has filled, but
// the objects tell.
func TestWhatGrowsByDoublingIsNamedWithoutAVerdict(t *testing.T) {
	t.Parallel()
	s := &simulated{
		classes: []string{"Charge"},
		uses: func(_ map[string]int64, tasks int64) map[string]int64 {
			return map[string]int64{soak.MallocInUse: 24 << bits.Len64(uint64(tasks-1))}
		},
		suspects: []soak.Suspect{{Kind: "container", Class: "Set", Allocated: &soak.Line{File: "charge.rb", Line: 5}}},
	}
	r, err := soak.Execute(t.Context(), s.options(12_000))
	require.NoError(t, err)
	require.Equal(t, "undecided", r.Verdict.Growth)
	require.Len(t, r.Suspects, 1)
	require.Empty(t, r.Classes)
}

func TestUntilDecided(t *testing.T) {
	t.Parallel()
	// The cache has filled after 6,000 tasks: too late for 3,000, and early enough for more.
	s := &simulated{classes: []string{"Charge"}, uses: func(_ map[string]int64, tasks int64) map[string]int64 {
		return map[string]int64{soak.RubySlots: 40 * min(tasks, 4000)}
	}}
	o := s.options(5000)
	r, err := soak.Execute(t.Context(), o)
	require.NoError(t, err)
	require.NotEqual(t, "flat", r.Verdict.Growth)

	o.UntilDecided = true
	r, err = soak.Execute(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, "flat", r.Verdict.Growth, r.Verdict.Text)
	require.Greater(t, r.Run.Tasks, int64(7500))
	require.LessOrEqual(t, r.Run.Samples, 401)
}

func TestTwoVersionsAreCompared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, growth string
		mine, other  int64
	}{
		{"both grow", "flat", 64, 64}, {"mine grows more", "leak", 64, 0}, {"the other grows more", "flat", 0, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mine := &simulated{classes: []string{"Charge"}, uses: grows(soak.RubySlots, c.mine)}
			other := &simulated{classes: []string{"Charge"}, uses: grows(soak.RubySlots, c.other)}
			o := mine.options(12_000)
			o.Name = "v1"
			o.Start = func(ctx context.Context, trace, isOther bool) (*soak.Remote, error) {
				if isOther {
					return other.start(ctx, trace)
				}
				return mine.start(ctx, trace)
			}
			r, err := soak.Execute(t.Context(), o)
			require.NoError(t, err)
			require.Equal(t, c.growth, r.Verdict.Growth, r.Verdict.Text)
			require.Contains(t, r.Verdict.Text, "than in v1")
			require.Len(t, r.Against.Measures, len(r.Measures))
		})
	}
}

func TestAStoppedRunReports(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	s := &simulated{classes: []string{"Charge"}}
	o := s.options(1_000_000)
	o.Progress = func(p soak.Progress) {
		if p.Samples == 60 {
			stop()
		}
	}
	r, err := soak.Execute(ctx, o)
	require.NoError(t, err)
	require.Equal(t, "undecided", r.Verdict.Growth)
	require.Contains(t, r.Verdict.Text, "the run was stopped; until then it was ")
	require.True(t, r.Run.Interrupted)
}

func TestARunThatIsStoppedBeforeItsFirstTask(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	s := &simulated{classes: []string{"Charge"}, deaf: true}
	o := s.options(1000)
	start := o.Start
	o.Start = func(ctx context.Context, trace, other bool) (*soak.Remote, error) {
		stop()
		return start(ctx, trace, other)
	}
	r, err := soak.Execute(ctx, o)
	require.NoError(t, err)
	require.Equal(t, "undecided", r.Verdict.Growth)
	require.Contains(t, r.Verdict.Text, "the run was stopped after 0 samples")
}

func TestErrorsOfARun(t *testing.T) {
	t.Parallel()
	t.Run("a task fails", func(t *testing.T) {
		t.Parallel()
		s := &simulated{classes: []string{"Charge"}, failure: &soak.Failure{Message: "the card was declined"}}
		_, err := soak.Execute(t.Context(), s.options(1000))
		var f *soak.Failure
		require.ErrorAs(t, err, &f)
		require.Equal(t, "the card was declined", f.Message)
	})
	t.Run("the runner dies", func(t *testing.T) {
		t.Parallel()
		s := &simulated{classes: []string{"Charge"}, dies: true}
		_, err := soak.Execute(t.Context(), s.options(1000))
		var gone *soak.Gone
		require.ErrorAs(t, err, &gone)
		require.Equal(t, "the process that runs the tasks has ended: exit status 7", err.Error())
		require.Equal(t, "out of memory", gone.Said)
	})
	for _, c := range []struct {
		name, says string
		o          soak.Options
	}{
		{"too few", "39 iterations are too few", soak.Options{Iterations: 39}},
		{"neither", "neither Iterations nor Duration", soak.Options{}},
		{"samples", "30 samples are asked for", soak.Options{Iterations: 100, Samples: 30}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := soak.Execute(t.Context(), c.o)
			require.ErrorContains(t, err, c.says)
		})
	}
}

// With a duration, the number of tasks between two samples is found from the first ones.
func TestADuration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // a time in which nothing is late
		s := &simulated{classes: []string{"Charge"}, pace: 10 * time.Microsecond, slow: true}
		o := s.options(0)
		o.Duration = 500 * time.Millisecond
		r, err := soak.Execute(t.Context(), o)
		require.NoError(t, err)
		require.GreaterOrEqual(t, r.Run.Samples, 40)
		require.Less(t, r.Run.Took, 2*o.Duration)
	})
}
