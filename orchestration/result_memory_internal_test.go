package orchestration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// freed reports whether the channel is closed.
func freed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Whoever needs much room is not passed by, and whoever leaves lets the next one try.
func TestRoomForResultsIsGivenInOrder(t *testing.T) {
	t.Parallel()
	m := newResultMemory(100)
	var much, little, none, gone roomWait
	require.Nil(t, m.take(&much, 60))
	goneFull := m.take(&gone, 80)
	require.NotNil(t, goneFull)
	muchFull := m.take(&much, 300)
	littleFull := m.take(&little, 10)
	require.NotNil(t, littleFull, "others come first")
	require.False(t, m.takeNow(10))
	require.Nil(t, m.take(&none, 0))
	require.True(t, m.takeNow(0))

	m.leave(&gone)
	m.leave(&gone)
	require.False(t, freed(goneFull))
	require.False(t, freed(muchFull))
	m.hold(-60)
	require.True(t, freed(muchFull))
	require.False(t, freed(littleFull))
	require.NotNil(t, m.take(&little, 10), "it is woken, and takes its room first")
	require.Nil(t, m.take(&much, 300), "alone it gets more than there is")
	require.False(t, freed(littleFull))

	step := &templates.Step{}
	m.handOver(step, 300, 200_000)
	require.False(t, freed(littleFull))
	noneFull := m.take(&none, 0)
	require.NotNil(t, noneFull)
	m.committed(200_000)
	require.True(t, freed(littleFull))
	require.True(t, freed(noneFull))
	require.Equal(t, 200_000, m.expected(step))
	require.Nil(t, m.take(&little, 10))
	require.Nil(t, m.take(&none, 0))
	require.Empty(t, m.waiting)

	m.handOver(step, 10, 0) // a failure says nothing about the size
	require.Equal(t, 200_000, m.expected(step))
	m.handOver(step, 0, 4)
	require.Zero(t, m.expected(step))
}
