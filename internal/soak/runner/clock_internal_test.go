package runner

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// fired is how often a function of a clock was called.
type fired struct{ atomic.Int64 }

func (f *fired) fire() { f.Add(1) }

func TestTheClockSkipsWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, began := newClock(), time.Now()
		var near, far fired
		c.At(c.Now().Add(time.Hour), orchestration.BusyWait, near.fire)
		c.At(c.Now().Add(48*time.Hour), orchestration.BusyWait, far.fire)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, near.Load()+far.Load(), "no task is under way")

		c.running(true)
		time.Sleep(idleMoment * 3 / 2)
		synctest.Wait()
		require.Equal(t, []int64{1, 0}, []int64{near.Load(), far.Load()}, "one after the other, for the first may end the wait for the second")
		require.WithinDuration(t, began.Add(time.Hour), c.Now(), 5*idleMoment)
		time.Sleep(idleMoment)
		synctest.Wait()
		require.Equal(t, []int64{1, 1}, []int64{near.Load(), far.Load()})
		require.Empty(t, c.waits)

		c.At(c.Now().Add(time.Hour), orchestration.BusyWait, near.fire)
		c.running(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, int64(1), near.Load(), "the batch is over")
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, int64(2), near.Load(), "its own time has come")
	})
}

func TestTheClockWaitsForHandlers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		var f fired
		c.running(true)
		c.happened(1)
		c.happened(1)
		c.At(c.Now().Add(time.Hour), orchestration.BusyWait, f.fire)
		time.Sleep(time.Minute)
		c.happened(-1)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, f.Load(), "one still runs")
		c.happened(-1)
		for range 10 { // something goes on
			time.Sleep(idleMoment / 2)
			c.happened(0)
		}
		synctest.Wait()
		require.Zero(t, f.Load())
		time.Sleep(2 * idleMoment)
		synctest.Wait()
		require.Equal(t, int64(1), f.Load())
	})
}

func TestAWaitIsStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		var stopped, other fired
		stop := c.At(c.Now().Add(time.Second), orchestration.BusyWait, stopped.fire)
		c.At(c.Now().Add(time.Minute), orchestration.BusyWait, other.fire)
		stop()
		c.running(true)
		time.Sleep(3 * idleMoment)
		synctest.Wait()
		require.Zero(t, stopped.Load())
		require.Equal(t, int64(1), other.Load())
		stop() // a second time it does nothing
		require.Empty(t, c.waits)
		require.Nil(t, c.alarm, "nothing waits, so nothing looks")
	})
}

// A time that has passed comes at once, and each function is called once although the clock
// sets all timers anew with each jump.
func TestTheClockFiresOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		c.running(true)
		var past, same fired
		c.At(c.Now().Add(-time.Hour), orchestration.BusyWait, past.fire)
		for range 50 {
			c.At(c.Now().Add(time.Hour), orchestration.BusyWait, same.fire)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []int64{1, 50}, []int64{past.Load(), same.Load()})
	})
}
