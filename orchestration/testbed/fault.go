package testbed

import (
	"slices"
	"sync"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/templates"
)

// Kind is what a fault does.
type Kind string

// The kinds of faults.
const (
	// Fail fails the attempt with Fault.Err. The handler is not called.
	Fail Kind = "fail"
	// Crash drops the engine. Another one goes on.
	Crash Kind = "crash"
	// Connection ends the connection of the step's transaction. The template must not say
	// `transaction: none` for the step, unless it is a statement that is met.
	Connection Kind = "connection"
	// CommitAnswer loses the answer to the commit, which has happened. At is not used.
	CommitAnswer Kind = "commit_answer"
	// Timeout ends the step's time. Its template must have timeout_seconds.
	Timeout Kind = "timeout"
)

// Moment is when a fault meets an attempt.
type Moment string

// The moments of an attempt.
const (
	// Before the handler's code begins. The attempt has been counted. A connection that is
	// lost before is noticed by the handler's first statement.
	Before Moment = "before"
	// During means after the handler's code, and before the commit: what the code did
	// outside the database has happened, and nothing is recorded.
	During Moment = "during"
	// After the commit.
	After Moment = "after"
	// Start is Before, for a timeout.
	Start Moment = "start"
	// Sleep is when the handler sleeps, for a timeout: whoever knows that calls [Bed.Expire].
	Sleep Moment = "sleep"
	// AtStatement is the statement with Fault.Number.
	AtStatement Moment = "statement"
	// AtCommit is During, or After if Side says so.
	AtCommit Moment = "commit"
)

// Side says on which side of a statement or a commit a crash is.
type Side string

// The sides. Before a statement means that it is not sent; after it, the server has run it.
const (
	SideBefore Side = "before" // the default
	SideAfter  Side = "after"
)

// Fault is something that happens to attempts of a step.
type Fault struct {
	Step   string
	Kind   Kind
	At     Moment
	Number int   // of the statement in its attempt, counted from 1; 0 is 1
	Side   Side  // of a statement or a commit, for a crash
	Times  int   // how many attempts it meets; 0 is 1
	Err    error // of Fail
}

// moments are those that each kind can have.
var moments = map[Kind][]Moment{
	Fail:         {""},
	Crash:        {Before, During, After, AtStatement, AtCommit},
	Connection:   {Before, During, AtStatement, AtCommit},
	CommitAnswer: {"", After, AtCommit},
	Timeout:      {Start, Before, Sleep, AtStatement},
}

// check returns an error if the fault makes no sense.
func (f *Fault) check() error {
	known, ok := moments[f.Kind]
	switch {
	case f.Step == "":
		return errors.New("testbed: a fault names no step")
	case !ok:
		return errors.Newf("testbed: there is no kind of fault called %q", f.Kind)
	case !slices.Contains(known, f.At):
		return errors.WithHintf(errors.Newf("testbed: a fault of the kind %s cannot come at %q", f.Kind, f.At), "It can come at one of %q.", known)
	case f.Kind == Fail && f.Err == nil:
		return errors.New("testbed: a fault of the kind fail has no error")
	case f.Number < 0 || f.Times < 0:
		return errors.New("testbed: Number and Times of a fault must not be negative")
	case f.Side != "" && f.Side != SideBefore && f.Side != SideAfter:
		return errors.Newf("testbed: a fault has no side %q", f.Side)
	}
	return nil
}

// normal returns the fault with its moment in one of the forms that attempts know.
func (f Fault) normal() Fault {
	f.Number, f.Times = max(f.Number, 1), max(f.Times, 1)
	switch {
	case f.Kind == CommitAnswer, f.At == AtCommit && f.Side == SideAfter:
		f.At = After
	case f.At == AtCommit:
		f.At = During
	case f.At == Start:
		f.At = Before
	}
	return f
}

// fits returns an error if the template does not allow the fault.
func (f *Fault) fits(t *templates.Template) error {
	step := t.Step(f.Step)
	switch {
	case step == nil: // it will meet no attempt
		return nil
	case f.Kind == Timeout && step.Timeout == 0:
		return errors.WithHintf(errors.Newf("testbed: the step %s has no timeout that could be over", f.Step),
			"Give it timeout_seconds in the template %s.", t.ID())
	case step.Transaction == templates.TransactionNone && (f.Kind == CommitAnswer || f.Kind == Connection && f.At != AtStatement):
		return errors.WithHint(errors.Newf("testbed: the step %s has `transaction: none`, and so no connection of its own to lose", f.Step),
			"Let it crash instead.")
	}
	return nil
}

// Add asks for a fault. The faults of a step meet its attempts one by one, in the order in
// which they were asked for. One whose moment does not come in an attempt, such as a
// statement that is not sent, meets the next attempt.
func (b *Bed) Add(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	b.faults.add(f)
	return nil
}

// pending is a fault that has met no attempt yet.
type pending struct {
	asked Fault // as the test gave it, with how many times are left
	Fault
}

// faults are those that are left, by step, in the order in which they were asked for.
type faults struct {
	mu     sync.Mutex
	byStep map[string][]*pending
	steps  []string // in the order of their first faults
}

func (f *faults) add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byStep == nil {
		f.byStep = map[string][]*pending{}
	}
	if !slices.Contains(f.steps, fault.Step) {
		f.steps = append(f.steps, fault.Step)
	}
	for range max(fault.Times, 1) {
		one := fault
		one.Times = 1
		f.byStep[fault.Step] = append(f.byStep[fault.Step], &pending{asked: fault, Fault: one.normal()})
	}
}

// take returns the fault for an attempt of the step that begins, or nil.
func (f *faults) take(step string) *pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.byStep[step]
	if len(list) == 0 {
		return nil
	}
	f.byStep[step] = list[1:]
	return list[0]
}

// giveBack returns a fault whose moment has not come. The next attempt gets it.
func (f *faults) giveBack(p *pending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byStep[p.Step] = append([]*pending{p}, f.byStep[p.Step]...)
}

// left returns the faults that have met no attempt, with how often they did not.
func (f *faults) left() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var left []Fault
	for _, step := range f.steps {
		for _, p := range f.byStep[step] {
			one := p.asked
			one.Times = 1
			if last := len(left) - 1; last >= 0 && p.asked.sameAs(left[last]) {
				left[last].Times++
				continue
			}
			left = append(left, one)
		}
	}
	return left
}

// sameAs reports whether two faults differ in their Times only.
func (f Fault) sameAs(other Fault) bool {
	return f.Step == other.Step && f.Kind == other.Kind && f.At == other.At && f.Number == other.Number && f.Side == other.Side
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byStep, f.steps = nil, nil
}

// fit returns an error if a fault that is left does not fit the template.
func (f *faults) fit(t *templates.Template) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, list := range f.byStep {
		for _, p := range list {
			if err := p.fits(t); err != nil {
				return err
			}
		}
	}
	return nil
}
