package rubysteps

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// What waits for a thread of Ruby is bounded in number and in bytes; an event that is larger
// than all room finds it when nothing else waits.
func TestEventsThatWaitForRubyAreBounded(t *testing.T) {
	var log strings.Builder
	e := &Events{log: slog.New(slog.NewTextHandler(&log, nil)), sending: true} // by nobody
	e.wanted.Store(eventKinds[orchestration.EventTaskEnded])
	tell := func(bytes int) {
		e.OnEvent(orchestration.Event{Kind: orchestration.EventTaskEnded, Err: &orchestration.StepError{Message: strings.Repeat("x", bytes)}})
	}
	tell(mostEventBytes + 1)
	require.Len(t, e.queue, 1)
	tell(1)
	require.Len(t, e.queue, 1)
	require.Contains(t, log.String(), "events of tasks are dropped")
	e.queue, e.bytes = nil, 0
	for range mostEvents + 1 {
		tell(1)
	}
	require.Len(t, e.queue, mostEvents)
}
