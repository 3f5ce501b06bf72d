package orchestration

import "slices"

// agenda is which steps of a task may start once their waits are over. It follows each
// change of a step, so that the next decision need not look at all steps.
type agenda struct {
	done       []bool  // of each step
	missing    []int32 // of each step: how many of its parents are not done
	open       []int   // the startable steps, sorted
	unfinished int     // how many steps are not done
	running    int     // how many attempts run

	// What is being committed; succession.go explains it.
	finishing []bool  // of each step: its success is being committed
	soon      []int32 // of each step: how many of its parents are finishing
	promised  []bool  // of each step: its claim travels with such a commit
	finishes  int     // how many steps are finishing
	promises  int     // how many steps are promised
}

// makeAgenda looks at all steps.
func makeAgenda(steps []*stepRun) agenda {
	a := agenda{
		done: make([]bool, len(steps)), missing: make([]int32, len(steps)), unfinished: len(steps),
		finishing: make([]bool, len(steps)), soon: make([]int32, len(steps)), promised: make([]bool, len(steps)),
	}
	for i, s := range steps {
		a.missing[i] = int32(len(s.parents))
	}
	for _, s := range steps {
		a.note(steps, s)
	}
	return a
}

// note takes note of a step that has changed.
func (a *agenda) note(steps []*stepRun, s *stepRun) {
	a.place(s)
	done := s.state.Done()
	if done == a.done[s.index] {
		return
	}
	by := int32(1)
	if done {
		by = -1
	}
	a.done[s.index] = done
	a.unfinished += int(by)
	for _, c := range s.children {
		a.missing[c] += by
		a.place(steps[c])
	}
}

// place puts the step among the open ones, or takes it away.
func (a *agenda) place(s *stepRun) {
	open := a.missing[s.index] == 0 && s.mayBegin()
	i, found := slices.BinarySearch(a.open, s.index)
	switch {
	case open && !found:
		a.open = slices.Insert(a.open, i, s.index)
	case !open && found:
		a.open = slices.Delete(a.open, i, i+1)
	}
}
