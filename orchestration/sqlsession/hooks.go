package sqlsession

import "context"

// hook is a number that waits for the end of its transaction, or for the
// rollback of the savepoint in which it was added.
type hook struct {
	depth  int // how many savepoints were open when it was added
	number uint64
}

// Ended reports the end of a hook: the work before it was committed, or rolled
// back.
type Ended struct {
	Hook      uint64
	Committed bool
}

// AddHook remembers a number until it is known whether the work up to here is
// committed. The number comes back once: in the Ended of the result whose
// statement decided it, or through the function given to OnEnd. open is false
// outside a transaction: then all is committed already.
func (s *Session) AddHook(ctx context.Context, number uint64) (open bool, err error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	if !s.step && s.gone == nil && (s.conn == nil || s.conn.status() == idle) {
		return false, nil
	}
	s.hooks = append(s.hooks, hook{depth: len(s.savepoints), number: number})
	return true, nil
}

// OnEnd has f called with the remaining hooks when the session ends.
func (s *Session) OnEnd(f func(hooks []uint64, fate Fate)) {
	<-s.turn
	defer s.leave()
	s.onEnd = f
}

// ended takes out the hooks that were added under at least depth savepoints.
func (s *Session) ended(depth int, committed bool) []Ended {
	var out []Ended
	kept := s.hooks[:0]
	for _, h := range s.hooks {
		if h.depth >= depth {
			out = append(out, Ended{Hook: h.number, Committed: committed})
		} else {
			kept = append(kept, h)
		}
	}
	s.hooks = kept
	return out
}

// tell calls the function of OnEnd with the remaining hooks, outside the turn:
// the function may use the session.
func (s *Session) tell(fate Fate) {
	<-s.turn
	hooks, call := s.ended(0, fate == Committed), s.onEnd
	s.leave()
	if len(hooks) == 0 || call == nil {
		return
	}
	numbers := make([]uint64, len(hooks))
	for i, h := range hooks {
		numbers[i] = h.Hook
	}
	call(numbers, fate)
}
