package templates

// link computes the index, the levels, the children and the ancestry from Steps
// and their Parents. Steps must be in topological order.
func (t *Template) link() {
	t.index = make(map[string]*Step, len(t.Steps))
	for i, s := range t.Steps {
		s.Index, s.Level, s.Children = i, 0, nil
		t.index[s.Name] = s
	}
	t.ancestors = newAncestry(len(t.Steps))
	for _, s := range t.Steps {
		for _, name := range s.Parents {
			parent := t.index[name]
			parent.Children = append(parent.Children, s.Name)
			s.Level = max(s.Level, parent.Level+1)
			t.ancestors.inherit(s.Index, parent.Index)
		}
	}
}

// ancestry holds one bit for each pair of steps: whether the first depends on
// the second.
type ancestry struct {
	words int
	bits  []uint64
}

func newAncestry(steps int) ancestry {
	words := (steps + 63) / 64
	return ancestry{words: words, bits: make([]uint64, words*steps)}
}

func (a ancestry) has(step, ancestor int) bool {
	return a.bits[step*a.words+ancestor/64]&(1<<(ancestor%64)) != 0
}

// inherit gives step its parent and all ancestors of the parent.
func (a ancestry) inherit(step, parent int) {
	own, theirs := a.bits[step*a.words:][:a.words], a.bits[parent*a.words:][:a.words]
	for i, word := range theirs {
		own[i] |= word
	}
	own[parent/64] |= 1 << (parent % 64)
}
