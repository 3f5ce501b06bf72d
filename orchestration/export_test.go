package orchestration

import "time"

// SetSettle changes how long the engine goes on recording after it was told to stop.
func (e *Engine) SetSettle(d time.Duration) { e.settle = d }
