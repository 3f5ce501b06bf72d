package testbed_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
)

// randomTemplate is a template of a few steps, each of which writes rows, in a random graph.
func randomTemplate(random *rand.Rand) (text string, steps int) {
	steps = 2 + random.IntN(5)
	var b strings.Builder
	b.WriteString("name: random\nstep_templates:\n")
	for i := range steps {
		class := []string{"Charge", "Charge", "Plain"}[random.IntN(3)]
		fmt.Fprintf(&b, "  - {name: s%d, handler_class: %s, default_retry_limit: 20, timeout_seconds: 3600", i, class)
		var parents []string
		for p := range i {
			if random.IntN(3) == 0 {
				parents = append(parents, fmt.Sprintf("s%d", p))
			}
		}
		if len(parents) > 0 {
			fmt.Fprintf(&b, ", depends_on_steps: [%s]", strings.Join(parents, ", "))
		}
		b.WriteString("}\n")
	}
	return b.String(), steps
}

// randomFault is one that any step can meet.
func randomFault(random *rand.Rand, step string) testbed.Fault {
	faults := []testbed.Fault{
		{Kind: testbed.Fail, Err: errors.New("no")},
		{Kind: testbed.Crash, At: testbed.Before}, {Kind: testbed.Crash, At: testbed.During}, {Kind: testbed.Crash, At: testbed.After},
		{Kind: testbed.Crash, At: testbed.AtStatement, Number: 1 + random.IntN(2), Side: testbed.SideBefore},
		{Kind: testbed.Crash, At: testbed.AtStatement, Number: 1 + random.IntN(2), Side: testbed.SideAfter},
		{Kind: testbed.Connection, At: testbed.Before}, {Kind: testbed.Connection, At: testbed.During},
		{Kind: testbed.Connection, At: testbed.AtStatement, Number: 1 + random.IntN(2)},
		{Kind: testbed.CommitAnswer},
		{Kind: testbed.Timeout, At: testbed.AtStatement, Number: 1 + random.IntN(2)},
	}
	f := faults[random.IntN(len(faults))]
	f.Step = step
	return f
}

// Whatever happens to however many engines, each step has one success, and its rows are
// there once. A loss is no failure, and a crash does not cost another step an attempt.
func TestRandomFaultsLeaveTheWorkDoneOnce(t *testing.T) {
	t.Parallel()
	bed := open(t)
	for seed := range uint64(effort.Of(12, 40)) {
		random := rand.New(rand.NewPCG(seed, 0))
		text, steps := randomTemplate(random)
		template := parse(t, text)
		o := testbed.RunOptions{Workers: 1 + random.IntN(2)}
		if o.Workers == 1 {
			o.Serial = random.IntN(2) == 0
		}
		begin(t, bed)
		run(t, bed, template, o)
		want := charged(t, bed)

		begin(t, bed)
		for range random.IntN(4) {
			add(t, bed, randomFault(random, fmt.Sprintf("s%d", random.IntN(steps))))
		}
		r := run(t, bed, template, o)
		require.Equal(t, want, charged(t, bed), "seed %d\n%s\n%v", seed, text, short(r.Trace))
		for _, s := range r.Task.Steps {
			require.Equal(t, orchestration.StepComplete, s.State)
			require.Equal(t, "complete", s.Last().Outcome)
			commit := testbed.Entry{Kind: testbed.EntryCommit, Step: s.Name, Attempt: s.Last().Number}
			require.True(t, slices.Contains(r.Trace, commit), "seed %d: %+v is not in %v", seed, commit, short(r.Trace))
		}
		require.Equal(t, testbed.EntryEnd, r.Trace[len(r.Trace)-1].Kind)
		_, err := bed.End(t.Context())
		require.NoError(t, err)
	}
}
