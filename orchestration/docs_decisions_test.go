package orchestration

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// guideRow is a row of a table in docs/engine.md: a condition and a decision.
type guideRow struct{ when, then string }

// guideTable reads the table under the heading.
func guideTable(t *testing.T, heading string) []guideRow {
	t.Helper()
	text, err := os.ReadFile("../docs/engine.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	require.True(t, found, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []guideRow
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) == 4 && !strings.HasPrefix(cells[1], "---") {
			rows = append(rows, guideRow{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])})
		}
	}
	require.Greater(t, len(rows), 1, heading)
	return rows[1:] // the first row has the names of the columns
}

// first returns the decision of the first row whose condition holds.
func first[T any](t *testing.T, rows []guideRow, means map[string]func(T) bool, of T) string {
	t.Helper()
	for _, row := range rows {
		holds := means[row.when]
		require.NotNil(t, holds, "the test does not know what this row means: %q", row.when)
		if holds(of) {
			return row.then
		}
	}
	t.Fatalf("no row holds for %+v", of)
	return ""
}

// finalize decides what the guide's table says, for every combination of states in every
// graph of up to three steps.
func TestGuideTableOfTaskEnds(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	is := func(states ...StepState) func(stepView) bool {
		return func(s stepView) bool { return slices.Contains(states, s.state) }
	}
	open := func(steps []stepView, due bool) bool {
		return slices.ContainsFunc(steps, func(s stepView) bool {
			return is(StepPending, StepWaitingForRetry)(s) && s.dueAt.After(now) != due &&
				!slices.ContainsFunc(s.parents, func(p int) bool { return !steps[p].state.Done() })
		})
	}
	means := map[string]func([]stepView) bool{
		"one runs, or can run now": func(steps []stepView) bool {
			return slices.ContainsFunc(steps, is(StepInProgress)) || open(steps, true)
		},
		"one waits for its next attempt, or for a permit, and its parents are done": func(steps []stepView) bool { return open(steps, false) },
		"all are `complete` or `resolved_manually`": func(steps []stepView) bool {
			return !slices.ContainsFunc(steps, func(s stepView) bool { return !s.state.Done() })
		},
		"one is in `error`":  func(steps []stepView) bool { return slices.ContainsFunc(steps, is(StepInError)) },
		"one is `cancelled`": func(steps []stepView) bool { return slices.ContainsFunc(steps, is(StepCancelled)) },
		"otherwise":          func([]stepView) bool { return true },
	}
	rows := guideTable(t, "When a task ends")
	for n := 1; n <= 3; n++ {
		for edges := range 1 << (n * (n - 1) / 2) {
			for code := range pow(len(allStepStates), n) {
				for waits := range 1 << n {
					steps := combination(n, edges, code, waits, now)
					v := finalize(steps, now)
					said := "`" + string(v.state) + "`"
					switch {
					case v.state == TaskInProgress && v.next.IsZero():
						said += ", go on"
					case v.state == TaskInProgress:
						said += ", look again when the earliest is due"
					}
					require.Equal(t, first(t, rows, means, steps), said, "%+v", steps)
				}
			}
		}
	}
}

// failedAttempt is what the decision about a failure depends on.
type failedAttempt struct {
	permanent, retryable bool
	attempts, limit      int
}

// retryDecision decides what the guide's table says. Unstorable results and missing
// classes are permanent errors; TestUnstorableResultsFailTheStep and
// TestMissingHandlerClassFailsTheStep check that.
func TestGuideTableOfFailures(t *testing.T) {
	t.Parallel()
	permanent := func(a failedAttempt) bool { return a.permanent }
	means := map[string]func(failedAttempt) bool{
		"failed with a permanent error":                                      permanent,
		"returned a value that cannot be stored (not JSON, a NUL character)": permanent,
		"has a handler class that cannot be used":                            permanent,
		"failed otherwise, and the step is not retryable":                    func(a failedAttempt) bool { return !a.retryable },
		"failed otherwise, and it was the last one of `default_retry_limit`": func(a failedAttempt) bool { return a.attempts >= a.limit },
		"failed otherwise": func(failedAttempt) bool { return true },
	}
	rows := guideTable(t, "What a failure leads to")
	for attempts := 1; attempts <= 5; attempts++ {
		for limit := range 6 {
			for _, retryable := range []bool{true, false} {
				for _, permanent := range []bool{true, false} {
					a := failedAttempt{permanent, retryable, attempts, limit}
					decided := retryDecision(a.retryable, a.permanent, a.attempts, a.limit)
					require.Equal(t, first(t, rows, means, a), "`"+string(decided)+"`", "%+v", a)
				}
			}
		}
	}
}
