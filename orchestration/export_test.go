package orchestration

import "time"

// SetRecordTimeout changes how long recording may continue after the engine was
// told to stop.
func (e *Engine) SetRecordTimeout(d time.Duration) { e.recordTimeout = d }
