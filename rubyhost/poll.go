package rubyhost

import (
	"sync/atomic"
	"syscall"
	"time"
)

// poll calls ask until it returns true, or the time is over. It does not yield
// to other goroutines: each time the scheduler would wake a further thread to
// run them, which would take the processor from the Ruby thread that is awaited.
func poll(spin time.Duration, ask func() bool) bool {
	began := time.Now()
	for i := 1; ; i++ {
		for range 16 {
			if ask() {
				return true
			}
			pause()
		}
		if time.Since(began) > spin {
			return false
		}
		if i%4 == 0 {
			giveWay()
		}
	}
}

// giveWay lets the Ruby thread run if it waits for this very processor. It is
// not runtime.Gosched, which yields to goroutines.
func giveWay() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
}

// pauses keeps the compiler from removing the loop in pause.
var pauses atomic.Uint32

// pause takes some 20 ns. Each step needs the result of the one before, so it
// leaves most of the core to the core's other hardware thread.
func pause() {
	x := pauses.Load()
	for range 20 {
		x = x*1664525 + 1013904223
	}
	if x == 1 {
		pauses.Store(x)
	}
}
