package soak

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/internal/verdict"
)

// findPlaces says which kind of memory grows.
func (s *session) findPlaces() {
	r := s.result
	for i, k := range Deciding() {
		if i >= len(s.places.Measures) {
			break
		}
		m := s.places.Measures[i]
		if m.Growth == verdict.Flat || m.Growth == verdict.Undecided && m.Low <= 0 {
			continue // nothing says that it grows
		}
		p := Place{Growth: m.Growth.String(), Bytes: m.Slope, Low: m.Low, High: m.High}
		switch k.Key {
		case RubySlots:
			p.Kind, p.Text = "ruby_heap", "objects of Ruby, "+growth(m)+s.mostly()
		case GoHeap:
			p.Kind, p.Text = "go_heap", "the heap of Go, "+growth(m)
			p.Hint = "If no handler is written in Go, this is a defect of tasker-rb; please report it with the page."
		default:
			s.native(&p, m)
		}
		r.Where = append(r.Where, p)
	}
	slices.SortStableFunc(r.Where, func(a, b Place) int { return cmp.Compare(b.Bytes, a.Bytes) })
	s.fragmentation()
}

// native says whose native memory grows: that of Ruby's objects (the characters of a
// String, the elements of an Array), that of the bridge, or neither.
func (s *session) native(p *Place, m verdict.Measure) {
	objects, bridge := s.slope(ObjectMemory), s.slope(BridgeBytes)
	switch half := m.Slope / 2; {
	case m.Slope > 0 && bridge > half:
		p.Kind, p.Text = "bridge", "the bridge between Go and Ruby, "+growth(m)
		p.Hint = "This is a defect of tasker-rb; please report it with the page."
	case m.Slope > 0 && objects > half:
		p.Kind, p.Text = "ruby_heap", "native memory that objects of Ruby own (characters, elements, tables), "+growth(m)
	default:
		p.Kind, p.Text = "native", "native memory that no object of Ruby owns, "+growth(m)
		p.Hint = "A C extension, or a library that it calls, does not free what it allocates."
	}
}

func (s *session) slope(key string) float64 {
	m := s.measured(key)
	if m == nil || m.Trend == nil {
		return 0
	}
	return m.Trend.Slope
}

// measured is one measure of the result, or nil.
func (s *session) measured(key string) *Measure {
	i := slices.IndexFunc(s.result.Measures, func(m Measure) bool { return m.Key == key })
	if i < 0 {
		return nil
	}
	return &s.result.Measures[i]
}

// mostly names the types of objects that grow.
func (s *session) mostly() string {
	type part struct {
		name  string
		slope float64
	}
	var parts []part
	var sum float64
	for _, m := range s.result.Measures {
		if name, ok := strings.CutPrefix(m.Key, SlotsOfType); ok && m.Trend != nil && m.Trend.Slope > 0 {
			parts = append(parts, part{strings.TrimPrefix(name, "T_"), m.Trend.Slope})
			sum += m.Trend.Slope
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(b.slope, a.slope) })
	var names []string
	for _, p := range parts[:min(len(parts), 3)] {
		if p.slope > sum/10 {
			names = append(names, p.name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; mostly " + strings.Join(names, ", ")
}

// fragmentation is RSS that rises while what is in use does not.
func (s *session) fragmentation() {
	if s.places.Growth != verdict.Flat || len(s.places.Measures) == 0 {
		return
	}
	for _, m := range s.result.Measures {
		if m.Key != RSS || m.Trend == nil || m.Trend.Growth != verdict.Leak.String() {
			continue
		}
		s.result.Where = append(s.result.Where, Place{
			Kind: "fragmentation", Growth: m.Trend.Growth, Bytes: m.Trend.Slope, Low: m.Trend.Low, High: m.Trend.High,
			Text: fmt.Sprintf("nothing that is in use grows, but resident memory does, by %s: free memory lies between what is in use", m.Trend.Text),
			Hint: "Set MALLOC_ARENA_MAX=2, or load jemalloc with LD_PRELOAD; fewer threads help too.",
		})
	}
}
