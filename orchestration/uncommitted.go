package orchestration

import "sync"

// uncommitted counts the bytes of results that handlers have returned and that are not
// in the database yet. Task loops wait for room before they claim steps. A commit needs
// no claim, so the count falls whatever the loops do.
type uncommitted struct {
	limit int

	mu    sync.Mutex
	bytes int
	freed chan struct{} // closed when there is room again; nil if no loop waits
}

func (u *uncommitted) add(bytes int) {
	u.mu.Lock()
	u.bytes += bytes
	u.mu.Unlock()
}

func (u *uncommitted) remove(bytes int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes -= bytes
	if u.freed != nil && u.bytes <= u.limit {
		close(u.freed)
		u.freed = nil
	}
}

// full returns a channel that is closed when there is room. It returns nil if there is
// room now.
func (u *uncommitted) full() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bytes <= u.limit {
		return nil
	}
	if u.freed == nil {
		u.freed = make(chan struct{})
	}
	return u.freed
}
