package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
)

// Shape is a kind of task. A task has levels of steps. Each step depends on all steps
// of the level before.
type Shape struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Levels []int  `json:"levels"` // how many steps each level has

	SQL          bool          `json:"sql"`           // each step runs one UPDATE
	Wait         time.Duration `json:"wait_ns"`       // each step waits so long
	ContextBytes int           `json:"context_bytes"` // a task has an input of this size, and each step reads it

	// Beside is what the tables hold before the measured tasks come. Only tasker-rb can
	// run such a shape.
	Beside tables `json:"beside"`

	byDefault bool // it belongs to the shapes that are measured when nobody chooses
}

// tables says what the engine's tables hold.
type tables struct {
	Finished int `json:"finished"` // diamonds that are complete
	Later    int `json:"later"`    // diamonds that wait for their time
	// Pruned says that the finished ones are old, and are deleted meanwhile.
	Pruned bool `json:"pruned"`
}

func (t tables) empty() bool { return t == tables{} }

// Steps is how many steps a task has.
func (s Shape) Steps() int {
	n := 0
	for _, width := range s.Levels {
		n += width
	}
	return n
}

// shapes are all shapes, in the order of the report. filled is how many tasks the
// full tables have.
func shapes(filled int) []Shape {
	diamond := []int{1, 2, 1}
	all := []Shape{
		{Name: "noop", Title: "one step, no SQL", Levels: []int{1}, byDefault: true},
		{Name: "diamond-sql", Title: "diamond, an UPDATE a step", Levels: diamond, SQL: true, byDefault: true},
		{Name: "diamond", Title: "diamond, no SQL", Levels: diamond, byDefault: true},
		{Name: "io", Title: "diamond, a step waits 20 ms", Levels: diamond, Wait: 20 * time.Millisecond},
		{Name: "context-1k", Title: "diamond, a context of 1 KB", Levels: diamond, ContextBytes: 1 << 10},
		{Name: "context-100k", Title: "diamond, a context of 100 KB", Levels: diamond, ContextBytes: 100 << 10},
	}
	for _, n := range []int{10, 100, 1000, 5000} {
		all = append(all,
			Shape{Name: fmt.Sprintf("fan-%d", n), Title: fmt.Sprintf("fan out and in, %d steps", n), Levels: []int{1, n - 2, 1}},
			Shape{Name: fmt.Sprintf("chain-%d", n), Title: fmt.Sprintf("chain of %d steps", n), Levels: slices.Repeat([]int{1}, n)})
	}
	return append(all,
		Shape{Name: "finished", Title: fmt.Sprintf("diamond, an UPDATE a step, %s finished tasks beside", thousands(filled)), Levels: diamond, SQL: true,
			Beside: tables{Finished: filled}},
		Shape{Name: "prune", Title: fmt.Sprintf("diamond, an UPDATE a step, %s finished tasks are deleted beside", thousands(filled)), Levels: diamond, SQL: true,
			Beside: tables{Finished: filled, Pruned: true}},
		Shape{Name: "later", Title: fmt.Sprintf("diamond, an UPDATE a step, %s tasks for later beside", thousands(2*filled)), Levels: diamond, SQL: true,
			Beside: tables{Later: 2 * filled}},
	)
}

// chooseShapes reads a list of names such as "noop,io", or "all". An empty list means
// the default ones.
func chooseShapes(list string, all []Shape) ([]Shape, error) {
	switch list {
	case "all":
		return all, nil
	case "":
		return slices.DeleteFunc(slices.Clone(all), func(s Shape) bool { return !s.byDefault }), nil
	}
	var chosen []Shape
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(s Shape) bool { return s.Name == name })
		if i < 0 {
			return nil, errors.WithHint(errors.Newf("there is no shape %q", name), "Choose from: all, "+strings.Join(names(all), ", ")+".")
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func names(list []Shape) []string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = s.Name
	}
	return all
}
