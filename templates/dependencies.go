package templates

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// order links the drafts to their parents and returns the steps in topological
// order. Among the steps whose parents are placed, the one written first comes
// next. After a problem order returns nil. When complete is false, some steps
// could not be read, so a name that is not found may be the name of one of them.
func (b *builder) order(drafts []*stepDraft, complete bool) []*Step {
	place := make(map[string]int, len(drafts))
	names := make([]string, len(drafts))
	for i, d := range drafts {
		place[d.step.Name], names[i] = i, d.step.Name
	}
	parents, children := make([][]int, len(drafts)), make([][]int, len(drafts))
	good := complete
	for i, d := range drafts {
		for _, node := range d.parents {
			p, found := place[node.Text]
			switch {
			case found:
				parents[i] = append(parents[i], p)
				children[p] = append(children[p], i)
			case complete:
				good = false
				b.problems.at(node, b.problems.suggestion(node.Text, names, "Add the step, or correct the name."),
					"the step %q depends on %q, which is not a step", d.step.Name, tree.Shorten(node.Text))
			}
		}
	}
	sorted := sortTopologically(parents, children)
	if len(sorted) < len(drafts) {
		b.cycles(drafts, parents, append(sorted, sortTopologically(children, parents)...))
		return nil
	}
	if !good {
		return nil
	}
	steps := make([]*Step, len(sorted))
	rank := make([]int, len(sorted))
	for to, from := range sorted {
		steps[to], rank[from] = drafts[from].step, to
	}
	for i, d := range drafts {
		slices.SortFunc(parents[i], func(x, y int) int { return cmp.Compare(rank[x], rank[y]) })
		for _, p := range parents[i] {
			d.step.Parents = append(d.step.Parents, drafts[p].step.Name)
		}
	}
	return steps
}

// sortTopologically returns the nodes in topological order. It leaves out those
// that are on a cycle or depend on one.
func sortTopologically(parents, children [][]int) []int {
	waiting := make([]int, len(parents))
	ready := &intHeap{}
	for i := range parents {
		waiting[i] = len(parents[i])
		if waiting[i] == 0 {
			*ready = append(*ready, i)
		}
	}
	heap.Init(ready)
	var sorted []int
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int)
		sorted = append(sorted, i)
		for _, child := range children[i] {
			if waiting[child]--; waiting[child] == 0 {
				heap.Push(ready, child)
			}
		}
	}
	return sorted
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// cycles reports one cycle for every group of steps that wait for each other.
// free holds the steps before and after all cycles.
func (b *builder) cycles(drafts []*stepDraft, parents [][]int, free []int) {
	done := make([]bool, len(drafts))
	for _, i := range free {
		done[i] = true
	}
	for i := range drafts {
		if done[i] {
			continue
		}
		path := cycleFrom(i, parents, done)
		if path == nil {
			done[i] = true // between two cycles, or on one that is already reported
			continue
		}
		for _, step := range path {
			done[step] = true
		}
		b.reportCycle(drafts, path)
	}
}

func (b *builder) reportCycle(drafts []*stepDraft, path []int) {
	// The path follows parents, so its text reads "a needs b".
	const most = 20
	var names []string
	for _, i := range path[:min(most, len(path))] {
		names = append(names, drafts[i].step.Name)
	}
	if len(path) > most {
		names = append(names, "…")
	}
	names = append(names, drafts[path[0]].step.Name)
	start := drafts[path[0]]
	at := start.name
	for _, node := range start.parents {
		if node.Text == drafts[path[1]].step.Name {
			at = node
		}
	}
	b.problems.at(at, "Remove one of these dependencies.", "the steps depend on each other in a cycle: %s",
		strings.Join(names, " -> "))
}

// cycleFrom returns the shortest cycle through start, following parents, or nil.
func cycleFrom(start int, parents [][]int, done []bool) []int {
	from := map[int]int{}
	queue := []int{start}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, p := range parents[i] {
			if p == start {
				path := []int{i}
				for path[len(path)-1] != start {
					path = append(path, from[path[len(path)-1]])
				}
				slices.Reverse(path)
				return path
			}
			if _, seen := from[p]; !seen && !done[p] {
				from[p] = i
				queue = append(queue, p)
			}
		}
	}
	return nil
}
