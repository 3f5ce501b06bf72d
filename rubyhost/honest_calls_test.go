package rubyhost_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Only a defect reaches these bounds.
const (
	honestCallLimit = 30 * time.Second
	honestCallsWait = 60 * time.Second
)

// honestCalls are right calls that several callers make all the time, beside what
// a test does to the host. Each must end as it should, and how long each took is
// kept.
type honestCalls struct {
	callers int
	over    atomic.Bool
	ended   sync.WaitGroup

	took     callTimes
	mu       sync.Mutex
	wrong    int
	failures []string // of the first wrong ones
}

// startHonestCalls starts the callers. A call fails by an error, and by a time
// that only a call that hangs needs. It has no limit of its own: then an interrupt
// that was meant for another call would pass for its own.
func startHonestCalls(callers int, call func() error) *honestCalls {
	c := &honestCalls{callers: callers}
	for range callers {
		c.ended.Go(func() {
			for !c.over.Load() {
				began := time.Now()
				err := call()
				c.note(time.Since(began), err)
			}
		})
	}
	return c
}

// honestStep is a call of the handler that must return this JSON.
func honestStep(h *rubyhost.Handler, want string) func() error {
	return func() error {
		out, err := h.Run(context.Background(), aStep())
		if err == nil && string(out) != want {
			err = errors.Newf("the result is %.200s", out)
		}
		return err
	}
}

func (c *honestCalls) note(took time.Duration, err error) {
	if err == nil && took > honestCallLimit {
		err = errors.Newf("it took %v", took)
	}
	defer c.took.add(took) // whoever counts the calls then sees the wrong ones
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong++
	if len(c.failures) < 5 {
		c.failures = append(c.failures, fmt.Sprintf("an honest call: %+v", err))
	}
}

func (c *honestCalls) count() int { return c.took.count() }

// more waits until so many calls that begin from now on have ended. It fails when
// a call was wrong, now or before, and when none ends for long.
func (c *honestCalls) more(n int) error {
	ended := c.count()
	until := ended + c.callers + n // one a caller may be under way
	for since := time.Now(); ended < until; time.Sleep(100 * time.Microsecond) {
		if now := c.count(); now > ended {
			ended, since = now, time.Now()
		} else if time.Since(since) > honestCallsWait {
			return errors.Newf("%d honest calls are missing, and none ended for %v: %v", until-ended, honestCallsWait, c)
		}
	}
	return c.failure()
}

// stop lets the callers end the calls that they are in.
func (c *honestCalls) stop() error {
	c.over.Store(true)
	all := make(chan struct{})
	go func() {
		defer close(all)
		c.ended.Wait()
	}()
	select {
	case <-all:
		return c.failure()
	case <-time.After(honestCallsWait):
		return errors.Newf("an honest call has not ended after %v: %v", honestCallsWait, c)
	}
}

// end waits until as many next calls have ended as there are callers, and stops.
func (c *honestCalls) end() error {
	return errors.CombineErrors(c.more(c.callers), c.stop())
}

// failure returns an error if a call was wrong.
func (c *honestCalls) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong == 0 {
		return nil
	}
	return errors.Newf("%d of %d honest calls were wrong:\n%s", c.wrong, c.count(), strings.Join(c.failures, "\n"))
}

// callTimes are one for each call.
type callTimes struct {
	mu    sync.Mutex
	times []time.Duration
}

func (c *callTimes) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.times, d)
}

func (c *callTimes) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.times)
}

// percentile returns the time that so many percent of the calls were within.
func (c *callTimes) percentile(percent int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(c.times))
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

// String is the line that every test prints.
func (c *honestCalls) String() string {
	c.mu.Lock()
	calls, wrong := c.count(), c.wrong
	c.mu.Unlock()
	at := func(percent int) time.Duration { return c.took.percentile(percent).Round(time.Microsecond) }
	return fmt.Sprintf("honest: %d calls, %d wrong, p50 %v, p99 %v, max %v", calls, wrong, at(50), at(99), at(100))
}

// besideHonestCalls starts honest steps on the host that the tests share. They
// wait, read their input and build a result. The test ends them with requireRight.
func besideHonestCalls(t *testing.T, callers int) *honestCalls {
	t.Helper()
	h := processBody(t, `sleep 0.0002; { order: task.context[:order_id], sum: sequence.get_results("one")["total"] % 7, f: 1.5 }`)
	c := startHonestCalls(callers, honestStep(h, `{"order":42,"sum":4,"f":1.5}`))
	t.Cleanup(func() { _ = c.stop() }) // of a test that failed before
	require.NoError(t, c.more(callers))
	return c
}

// requireRight ends the calls. The test fails if one was wrong.
func (c *honestCalls) requireRight(t *testing.T) {
	t.Helper()
	require.NoError(t, c.end())
	t.Log(c)
}

// mustBeRight ends the calls of a child, which prints the line for its test, or
// fails.
func (c *honestCalls) mustBeRight() {
	must(c.end())
	fmt.Println(c)
}

var honestLine = regexp.MustCompile(`(?m)^honest: [1-9]\d* calls, 0 wrong, .*\n`)

// requireHonestCalls fails unless each honest call of the child was right. It
// returns what else the child has printed.
func requireHonestCalls(t *testing.T, out string) string {
	t.Helper()
	require.Regexp(t, honestLine, out)
	for _, line := range honestLine.FindAllString(out, -1) {
		t.Log(strings.TrimSpace(line))
	}
	return honestLine.ReplaceAllString(out, "")
}
