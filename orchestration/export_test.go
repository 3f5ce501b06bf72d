package orchestration

import "time"

// Uncommitted returns the bytes of results that are not in the database yet.
func (e *Engine) Uncommitted() int {
	e.uncommitted.mu.Lock()
	defer e.uncommitted.mu.Unlock()
	return e.uncommitted.bytes
}

// AddUncommitted pretends that handlers have returned so many more bytes.
func (e *Engine) AddUncommitted(bytes int) {
	if bytes < 0 {
		e.uncommitted.remove(-bytes)
		return
	}
	e.uncommitted.add(bytes)
}

// SetRecordTimeout changes how long recording may continue after the engine was
// told to stop.
func (e *Engine) SetRecordTimeout(d time.Duration) { e.recordTimeout = d }

// WaitsForRoom reports whether a task waits for results to be committed.
func (e *Engine) WaitsForRoom() bool {
	e.uncommitted.mu.Lock()
	defer e.uncommitted.mu.Unlock()
	return e.uncommitted.freed != nil
}
