package verdict

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Count is a number of samples in words.
func Count(samples int) string {
	if samples == 1 {
		return "1 sample"
	}
	return fmt.Sprintf("%d samples", samples)
}

// String is the verdict in words. Each measure has its line when there are several.
func (v Verdict) String() string {
	if len(v.Measures) == 1 {
		return v.sentence(v.Measures[0])
	}
	lines := []string{v.Growth.String()}
	if v.More > 0 {
		lines[0] += ": about " + rounded(v.More) + " more steps would decide"
	}
	for _, m := range v.Measures {
		lines = append(lines, "  "+m.Name+": "+v.sentence(m))
	}
	return strings.Join(lines, "\n")
}

func (v Verdict) sentence(m Measure) string {
	each := 1 - (1-v.Confidence)/float64(len(v.Measures))
	head := fmt.Sprintf("%s: %s bytes a step (%s %% interval %s to %s)", m.Growth, Figure(m.Slope), Figure(100*each), Figure(m.Low), Figure(m.High))
	budget := Figure(v.Budget)
	switch m.Growth {
	case Flat:
		return head + ", below the budget of " + budget
	case Leak:
		if m.Low <= v.Budget {
			return head + fmt.Sprintf(", and %s bytes a step (%s to %s) since step %d, above the budget of %s",
				Figure(m.Change.After), Figure(m.Change.Low), Figure(m.Change.High), m.Change.Step, budget)
		}
		return head + ", above the budget of " + budget
	}
	return head + ", " + m.why(budget) + m.next()
}

func (m Measure) why(budget string) string {
	switch m.Reason {
	case Late:
		if m.Change == nil {
			return "the last samples rise above the line, and are too few to say whether that goes on"
		}
		return fmt.Sprintf("something changed at step %d (by %s bytes), and too little follows it", m.Change.Step, Figure(m.Change.Jump))
	case Slowing:
		if m.Change == nil {
			return m.Reason.String()
		}
		return fmt.Sprintf("growth slowed at step %d from %s to %s, as when a cache fills", m.Change.Step, Figure(m.Change.Before), Figure(m.Change.After))
	case Settling:
		return fmt.Sprintf("growth ended at step %d, too late to be called a warm-up", m.Change.Step)
	case Fading:
		return m.Reason.String()
	}
	return "and the budget of " + budget + " lies between"
}

// String says in words what forbids a verdict.
func (r Reason) String() string {
	return [...]string{
		Decided:  "nothing is in the way",
		Noisy:    "the budget lies within the interval",
		Late:     "something changed late, and too little follows it",
		Slowing:  "growth slows, as when a cache fills",
		Settling: "growth ended too late to be called a warm-up",
		Fading:   "growth is not confirmed by its second half, as when a cache has filled",
	}[r]
}

func (m Measure) next() string {
	if m.More > 0 {
		return "; about " + rounded(m.More) + " more steps would decide"
	}
	return "; no reasonable number of steps would decide, but with a budget of " + Figure(m.Resolvable) + " there would be a verdict"
}

// Figure is a number with three significant digits and no exponent, as verdicts print it.
func Figure(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsInf(v, 0) || a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a < 1e-6: // nothing measures a millionth of a byte
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(a)))
	text := strconv.FormatFloat(v, 'f', digits, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// rounded keeps two digits, upwards.
func rounded(steps int64) string {
	unit := int64(1)
	for steps/unit >= 100 {
		unit *= 10
	}
	return strconv.FormatInt((steps+unit-1)/unit*unit, 10)
}

// String lists the classes with their growth.
func (a Attribution) String() string {
	each := Figure(100 * (1 - (1-a.Confidence)/float64(max(len(a.Shares)+len(a.Inseparable), 1))))
	var lines []string
	for _, s := range a.Shares {
		line := fmt.Sprintf("%s: %s bytes a call (%s %% interval %s to %s), %d calls",
			strings.Join(s.Classes, " and "), Figure(s.Bytes), each, Figure(s.Low), Figure(s.High), s.Calls)
		if len(s.Classes) > 1 {
			line += "; they always run in the same proportion, so they cannot be told apart"
		}
		lines = append(lines, line)
	}
	for _, names := range a.Inseparable {
		lines = append(lines, strings.Join(names, ", ")+": their calls are tied to each other, so they cannot be told apart")
	}
	for _, name := range a.Idle {
		lines = append(lines, name+": no calls after the warm-up")
	}
	return strings.Join(lines, "\n")
}
